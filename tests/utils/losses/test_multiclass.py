"""Several classes: against the multi-class losses of segmentation_models_pytorch and torch, and against two classes."""

from __future__ import annotations

import pytest
import torch
from segmentation_models_pytorch.losses import MULTICLASS_MODE, DiceLoss, JaccardLoss, TverskyLoss
from torch.nn import functional

from utils.errors import UserError
from utils.losses import SEGMENTATION_LOSSES, build_segmentation_loss
from utils.losses.modules import OneVersusRest


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(2, 4, 7, 6, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture
def classes() -> torch.Tensor:
    return torch.randint(0, 4, (2, 7, 6), generator=torch.Generator().manual_seed(1))


def one_hot(classes: torch.Tensor) -> torch.Tensor:
    return functional.one_hot(classes, 4).movedim(-1, 1).float()


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize(
    ("name", "options", "theirs"),
    [
        ("dice", {}, DiceLoss(MULTICLASS_MODE)),
        ("dice", {"smooth": 2.0}, DiceLoss(MULTICLASS_MODE, smooth=2.0)),
        ("iou", {}, JaccardLoss(MULTICLASS_MODE)),
        ("tversky", {"alpha": 0.2, "beta": 0.9}, TverskyLoss(MULTICLASS_MODE, alpha=0.2, beta=0.9)),
    ],
)
def test_region_losses_are_those_of_smp(
    logits: torch.Tensor, classes: torch.Tensor, name: str, options: dict, theirs: torch.nn.Module, absent: bool
) -> None:
    classes = classes.clamp(max=2) if absent else classes
    ours = build_segmentation_loss(name, options, 4)(logits, one_hot(classes))
    assert ours.item() == pytest.approx(theirs(logits, classes).item(), abs=1e-6)


def test_bce_is_the_softmax_cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> None:
    target = one_hot(classes)
    loss = build_segmentation_loss("bce", {}, 4)
    expected = functional.cross_entropy(logits, classes).item()
    assert loss(logits, target).item() == pytest.approx(expected, rel=1e-6)
    mixed = 0.3 * target + 0.7 * target.flip(0)
    expected = 0.3 * loss(logits, target) + 0.7 * loss(logits, target.flip(0))
    assert loss(logits, mixed).item() == pytest.approx(expected.item(), rel=1e-5)


def test_bce_weighs_all_classes_but_the_background(logits: torch.Tensor, classes: torch.Tensor) -> None:
    each = functional.cross_entropy(logits, classes, reduction="none")
    expected = (each * torch.where(classes > 0, 5.0, 1.0)).mean().item()
    ours = build_segmentation_loss("bce", {"positive_weight": 5.0}, 4)(logits, one_hot(classes))
    assert ours.item() == pytest.approx(expected, rel=1e-6)


def test_bce_smooths_as_torch_does(logits: torch.Tensor, classes: torch.Tensor) -> None:
    # torch hands its share to all classes, the true one too, which therefore keeps 1 - 0.2 * 3 / 4.
    expected = functional.cross_entropy(logits, classes, label_smoothing=0.2).item()
    ours = build_segmentation_loss("bce", {"smoothing": 0.15}, 4)(logits, one_hot(classes))
    assert ours.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["bce", "dice", "focal", "lovasz", "mcc", "dice_bce", "focal_tversky", "boundary"])
def test_two_classes_are_the_losses_of_both(name: str) -> None:
    """Logits 0 and z are the binary logit z of the lesion, and -z of the background."""
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(2, 1, 8, 8, generator=generator)
    lesion = torch.rand(2, 1, 8, 8, generator=generator)
    both = build_segmentation_loss(name, {}, 2)(torch.cat([z * 0, z], 1), torch.cat([1 - lesion, lesion], 1))
    binary = SEGMENTATION_LOSSES[name]()
    expected = (binary(z, lesion) + binary(-z, 1 - lesion)).item() / 2
    assert both.item() == pytest.approx(expected, abs=1e-5)
    if name == "bce":
        assert both.item() == pytest.approx(binary(z, lesion).item(), rel=1e-6)


class Probability(torch.nn.Module):
    """Answers with the probability of one pixel, to see what a loss of one class is shown."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        assert logits.shape == target.shape == (1, 1, 1, 1)
        return (logits.double().sigmoid() * target.double()).sum()


@pytest.mark.parametrize("scale", [1.0, 50.0, 500.0])
def test_the_sigmoid_of_each_logit_is_the_softmax(scale: float) -> None:
    logits = torch.tensor([0.3, -1.0, 2.0, 1.9]).reshape(1, 4, 1, 1) * scale
    p = logits.double().softmax(1).flatten()
    for c in range(4):
        target = torch.zeros_like(logits)
        target[0, c] = 4
        assert OneVersusRest(Probability())(logits, target).item() == pytest.approx(p[c].item(), rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
def test_one_channel_is_the_factory_bit_for_bit(name: str) -> None:
    generator = torch.Generator().manual_seed(5)
    logits, target = torch.randn(2, 1, 16, 16, generator=generator), torch.rand(2, 1, 16, 16, generator=generator)
    assert torch.equal(
        build_segmentation_loss(name, {}, 1)(logits, target), SEGMENTATION_LOSSES[name]()(logits, target)
    )


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
def test_better_masks_lose_less(name: str) -> None:
    classes = torch.zeros(1, 16, 16, dtype=torch.long)
    classes[:, 3:9, 2:7], classes[:, 10:14, 8:15], classes[:, 2:6, 10:14] = 1, 2, 3
    target = one_hot(classes)
    loss = build_segmentation_loss(name, {}, 4)
    good, swapped = (sign * (target * 2 - 1) * 3 for sign in (1, -1))
    assert loss(good, target) < loss(torch.zeros_like(target), target) < loss(swapped, target)


@pytest.mark.parametrize("channels", [1, 4])
def test_a_combination_is_the_weighted_sum(logits: torch.Tensor, classes: torch.Tensor, channels: int) -> None:
    target = one_hot(classes)
    if channels == 1:
        logits, target = logits[:, :1], target[:, :1]
    options = {"losses": {"focal": {"gamma": 3.0, "weight": 0.5}, "dice": {"weight": 2.0}, "boundary": {}}}
    parts = [("focal", {"gamma": 3.0}, 0.5), ("dice", {}, 2.0), ("boundary", {}, 1.0)]
    expected = sum(w * build_segmentation_loss(name, inside, channels)(logits, target) for name, inside, w in parts)
    combined = build_segmentation_loss("combination", options, channels)(logits, target)
    assert combined.item() == pytest.approx(float(expected), rel=1e-5)
    turned = {"losses": dict(reversed(options["losses"].items()))}
    assert torch.equal(build_segmentation_loss("combination", turned, channels)(logits, target), combined)
    assert options["losses"]["focal"] == {"gamma": 3.0, "weight": 0.5}, "the settings are not used up"


def test_what_cannot_be_built() -> None:
    with pytest.raises(UserError, match=r"no such segmentation loss.*'dice'"):
        build_segmentation_loss("dise", {}, 1)
    with pytest.raises(UserError, match="no such segmentation loss"):
        build_segmentation_loss("combination", {"losses": {"dise": {}}}, 1)
    with pytest.raises(ValueError, match="at least one"):
        build_segmentation_loss("combination", {"losses": {}}, 1)
