"""Losses of one class' mask against their formulas written down a second time, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchmetrics.functional.classification import binary_matthews_corrcoef

from utils.losses import SEGMENTATION_LOSSES, build_segmentation_loss
from utils.losses.modules import DeepSupervision, signed_distances


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(3, 1, 9, 8, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture
def hard() -> torch.Tensor:
    return (torch.rand(3, 1, 9, 8, generator=torch.Generator().manual_seed(1)) > 0.7).float()


@pytest.fixture
def soft(hard: torch.Tensor) -> torch.Tensor:
    """What mix-up makes of two masks."""
    return 0.3 * hard + 0.7 * hard.roll(1, dims=0)


def value(name: str, logits: torch.Tensor, target: torch.Tensor, **options: float) -> float:
    return SEGMENTATION_LOSSES[name](**options)(logits, target).item()


def counts(logits: torch.Tensor, target: torch.Tensor) -> tuple[float, float, float]:
    """Soft true positives, false positives and false negatives; what probability and target share is their minimum."""
    p, t = torch.sigmoid(logits.double()).numpy(), target.double().numpy()
    # |p - t| = p + t - 2 min(p, t); for targets of 0 and 1 the minimum is the product.
    shared = np.minimum(p, t).sum()
    return shared, p.sum() - shared, t.sum() - shared


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_region_losses_are_their_formulas(logits: torch.Tensor, kind: str, request: pytest.FixtureRequest) -> None:
    target = request.getfixturevalue(kind)
    tp, fp, fn = counts(logits, target)
    tversky = 1 - tp / (tp + 0.2 * fp + 0.9 * fn)
    assert value("dice", logits, target) == pytest.approx(1 - 2 * tp / (2 * tp + fp + fn), abs=1e-6)
    assert value("iou", logits, target) == pytest.approx(1 - tp / (tp + fp + fn), abs=1e-6)
    assert value("tversky", logits, target, alpha=0.2, beta=0.9) == pytest.approx(tversky, abs=1e-6)
    focal = value("focal_tversky", logits, target, alpha=0.2, beta=0.9, gamma=0.6)
    assert focal == pytest.approx(tversky**0.6, abs=1e-6)


@pytest.mark.parametrize("name", ["iou", "tversky", "focal_tversky"])
def test_smoothing_constants_are_added_above_and_below(name: str, logits: torch.Tensor, hard: torch.Tensor) -> None:
    tp, fp, fn = counts(logits, hard)
    alpha, beta = {"iou": (1.0, 1.0)}.get(name, (0.3, 0.7))
    expected = 1 - (tp + 5) / (tp + alpha * fp + beta * fn + 5)
    expected **= 0.75 if name == "focal_tversky" else 1
    assert value(name, logits, hard, smooth=5.0) == pytest.approx(expected, abs=1e-6)


def test_tversky_has_dice_and_iou_as_special_cases(logits: torch.Tensor, soft: torch.Tensor) -> None:
    assert value("tversky", logits, soft, alpha=0.5, beta=0.5) == value("dice", logits, soft)
    assert value("tversky", logits, soft, alpha=1.0, beta=1.0) == value("iou", logits, soft)
    plain = value("tversky", logits, soft)
    assert value("focal_tversky", logits, soft, gamma=1.0) == pytest.approx(plain, abs=1e-7)


def test_tversky_punishes_misses_more_than_false_alarms() -> None:
    target = torch.zeros(1, 1, 8, 8)
    target[..., :4] = 1
    missing, alarming = target.clone(), target.clone()
    missing[:, :, :2], alarming[:, :, :2] = 0, 1
    miss, alarm = (value("tversky", (mask * 2 - 1) * 9, target) for mask in (missing, alarming))
    assert miss > alarm + 0.05


def jaccard_loss(wrong: np.ndarray, truth: np.ndarray) -> float:
    """1 - IoU of a mask that differs from the truth in the pixels `wrong`; 1 where both are empty but for these."""
    drawn = wrong != truth
    union = (drawn | truth).sum()
    return 1 - (drawn & truth).sum() / union if union else 0.0


@pytest.mark.parametrize("empty", [False, True])
def test_lovasz_is_the_extension_of_the_jaccard_loss(empty: bool) -> None:
    """By the definition: errors sorted, each times what the loss gains by the set of the larger errors and its own."""
    rng = np.random.default_rng(0)
    scores, truth = rng.normal(size=24) * 2, rng.random(24) > (2 if empty else 0.6)
    errors = 1 - scores * np.where(truth, 1, -1)
    expected, wrong = 0.0, np.zeros(24, bool)
    for pixel in np.argsort(-errors):
        before = jaccard_loss(wrong, truth)
        wrong[pixel] = True
        expected += max(errors[pixel], 0) * (jaccard_loss(wrong, truth) - before)
    as_masks = [torch.tensor(each, dtype=torch.float32).reshape(1, 1, 4, 6) for each in (scores, truth)]
    assert value("lovasz", *as_masks) == pytest.approx(expected, abs=1e-5)
    if empty:
        assert expected == pytest.approx(max(errors.max(), 0)), "the hinge of the worst false alarm"


def test_lovasz_per_image_is_the_mean_over_images(logits: torch.Tensor, hard: torch.Tensor) -> None:
    each = [value("lovasz", logits[i : i + 1], hard[i : i + 1]) for i in range(3)]
    assert value("lovasz", logits, hard, per_image=True) == pytest.approx(np.mean(each), abs=1e-6)
    assert value("lovasz", logits, hard) != pytest.approx(np.mean(each), abs=1e-3)


def test_lovasz_asks_nothing_of_a_pixel_that_is_half_lesion() -> None:
    logits = torch.tensor([[[[0.3, -0.2, 0.9, 0.1]]]], requires_grad=True)
    SEGMENTATION_LOSSES["lovasz"]()(logits, torch.tensor([[[[1.0, 0.5, 0.0, 0.5]]]])).backward()
    assert logits.grad is not None
    assert (logits.grad != 0).flatten().tolist() == [True, False, True, False]


def test_mcc_of_a_decided_mask_is_that_of_torchmetrics(logits: torch.Tensor, hard: torch.Tensor) -> None:
    drawn = (logits > 0).float()
    expected = 1 - binary_matthews_corrcoef(drawn.flatten(), hard.int().flatten()).item()
    assert value("mcc", (drawn * 2 - 1) * 50, hard) == pytest.approx(expected, abs=1e-4)


def test_mcc_of_probabilities_is_the_formula(logits: torch.Tensor, soft: torch.Tensor) -> None:
    p, t = torch.sigmoid(logits.double()), soft.double()
    tp, tn, fp, fn = ((a * b).sum() for a, b in ((p, t), (1 - p, 1 - t), (p, 1 - t), (1 - p, t)))
    expected = 1 - (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt()
    assert value("mcc", logits, soft) == pytest.approx(expected.item(), abs=1e-5)


def test_mcc_without_a_lesion_stays_between_a_half_and_one() -> None:
    empty = torch.zeros(1, 1, 8, 8)
    perfect, noisy, wrong = (value("mcc", empty + z, empty) for z in (-40.0, 0.0, 40.0))
    assert perfect == pytest.approx(0.5, abs=1e-3) and noisy == pytest.approx(1.0, abs=1e-3) and wrong >= noisy - 1e-5


def by_scipy(mask: np.ndarray) -> np.ndarray:
    distances = np.where(
        mask, 0.5 - ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(1 - mask) - 0.5
    )
    return distances / math.hypot(*mask.shape)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_signed_distances_are_exact(share: float) -> None:
    mask = (np.random.default_rng(3).random((41, 67)) < share).astype(np.uint8)
    assert signed_distances(mask) == pytest.approx(by_scipy(mask), abs=1e-6)


def test_signed_distances_by_hand() -> None:
    row = np.array([[0, 0, 1, 1, 1, 0]])
    assert (signed_distances(row) * math.hypot(1, 6)).tolist()[0] == pytest.approx([1.5, 0.5, -0.5, -1.5, -0.5, 0.5])
    assert (signed_distances(row * 0) == 0).all() and (signed_distances(row * 0 + 1) == 0).all()


def test_boundary_is_the_mean_of_probability_times_distance(logits: torch.Tensor, hard: torch.Tensor) -> None:
    distances = np.stack([by_scipy(mask) for mask in hard[:, 0].numpy()])
    expected = (torch.sigmoid(logits.double())[:, 0].numpy() * distances).mean()
    assert value("boundary", logits, hard) == pytest.approx(expected, abs=1e-6)
    # A soft target has its outline where it passes one half.
    assert value("boundary", logits, 0.2 + 0.6 * hard) == value("boundary", logits, hard)


def test_boundary_does_not_grow_with_the_image() -> None:
    target = torch.zeros(1, 1, 32, 32)
    target[..., 8:20, 10:24] = 1
    logits = (target.roll(14, dims=3) * 2 - 1) * 4
    small = value("boundary", logits, target)
    large = value("boundary", *(mask.repeat_interleave(8, 2).repeat_interleave(8, 3) for mask in (logits, target)))
    assert large == pytest.approx(small, rel=0.05)


def test_boundary_prefers_the_nearer_of_two_wrong_masks_and_the_true_one_to_both() -> None:
    target = torch.zeros(1, 1, 48, 48)
    target[..., 10:20, 10:20] = 1
    losses = [value("boundary", (target.roll(shift, dims=3) * 2 - 1) * 9, target) for shift in (0, 3, 12, 24)]
    assert losses == sorted(losses) and losses[0] < 0 and len(set(losses)) == 4


def test_boundary_counts_an_image_without_an_outline_as_nothing(logits: torch.Tensor, hard: torch.Tensor) -> None:
    for mask in (torch.zeros_like(hard), torch.ones_like(hard)):
        assert value("boundary", logits, mask) == 0
    mixed = torch.cat([hard[:2], torch.zeros_like(hard[:1])])
    assert value("boundary", logits, mixed) == pytest.approx(value("boundary", logits[:2], hard[:2]) * 2 / 3, abs=1e-7)


def test_dice_focal_is_the_weighted_sum(logits: torch.Tensor, soft: torch.Tensor) -> None:
    dice, focal = (value(name, logits, soft) for name in ("dice", "focal"))
    assert value("dice_focal", logits, soft) == pytest.approx((dice + focal) / 2, rel=1e-5)
    assert value("dice_focal", logits, soft, dice_weight=0.2) == pytest.approx(0.2 * dice + 0.8 * focal, rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [0.0, 1.0, 60.0])
@pytest.mark.parametrize("kind", ["empty", "full", "hard", "soft"])
@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
def test_gradients_are_finite_whatever_the_target(name: str, kind: str, size: float, channels: int) -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, channels, 16, 12, generator=generator) * size
    one = torch.rand(2, 1, 16, 12, generator=generator)
    lesion = {"empty": one * 0, "full": one * 0 + 1, "hard": (one > 0.8).float(), "soft": one}[kind]
    target = lesion if channels == 1 else torch.cat([1 - lesion, lesion, lesion * 0], dim=1)
    loss_function = build_segmentation_loss(name, {}, channels)
    values = []
    for half in (False, True):
        at = (logits.bfloat16() if half else logits).clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = loss_function(at, target)
        loss.backward()
        assert loss.ndim == 0 and loss.dtype == torch.float32 and math.isfinite(loss.item())
        assert at.grad is not None and torch.isfinite(at.grad).all()
        values.append(loss.item())
    assert values[1] == pytest.approx(values[0], rel=0.05, abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(set(SEGMENTATION_LOSSES) - {"boundary"}))
def test_a_perfect_prediction_loses_nothing(name: str, channels: int) -> None:
    lesion = torch.zeros(2, 1, 12, 12)
    lesion[0, :, 3:8, 2:6] = 1
    other = lesion.roll(5, dims=3)
    target = lesion if channels == 1 else torch.cat([1 - lesion - other, lesion, other], dim=1)
    loss = build_segmentation_loss(name, {}, channels)((target * 2 - 1) * 30, target)
    assert loss.item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", sorted(SEGMENTATION_LOSSES))
def test_descent_finds_the_mask(name: str) -> None:
    """A gradient may be finite and still lead nowhere."""
    target = torch.zeros(1, 1, 12, 12)
    target[..., 3:8, 2:9] = 1
    logits = torch.zeros_like(target, requires_grad=True)
    optimizer, loss = torch.optim.Adam([logits], lr=0.3), SEGMENTATION_LOSSES[name]()
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    assert torch.equal((logits > 0).float(), target)


def test_deep_supervision_halves_the_weight_of_every_coarser_output(logits: torch.Tensor, hard: torch.Tensor) -> None:
    loss = SEGMENTATION_LOSSES["dice_bce"]()
    supervised = DeepSupervision(loss)
    coarsest, coarse = logits * 0.1, logits + 1
    values = [loss(each, hard).item() for each in (logits, coarse, coarsest)]
    expected = (4 * values[0] + 2 * values[1] + 1 * values[2]) / 7
    assert supervised(logits, (coarsest, coarse), hard).item() == pytest.approx(expected, rel=1e-6)
    assert torch.equal(supervised(logits, (), hard), loss(logits, hard))
    same = supervised(logits, (logits, logits, logits), hard).item()
    assert same == pytest.approx(values[0], rel=1e-6), "the weights sum to 1"


def test_distances_do_not_depend_on_where_in_memory_a_mask_lies() -> None:
    rows, columns = np.ogrid[:32, :32]
    mask = (rows - 17) ** 2 + (columns - 14) ** 2 < 50
    held = [np.empty(17 + place * 13 % 97, np.uint8) for place in range(100)]
    found = {signed_distances(mask.copy()).tobytes() for _ in held}
    assert len(found) == 1
