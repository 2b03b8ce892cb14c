"""Losses against their formulas, in half precision, and at the edges."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from utils.losses import CLASSIFICATION_LOSSES, SEGMENTATION_LOSSES, class_weights_of


@pytest.fixture
def masks() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 8, 9, generator=generator) * 2
    target = (torch.rand(3, 1, 8, 9, generator=generator) > 0.7).float()
    return logits, target


@pytest.fixture
def diagnoses() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 3, generator=generator), torch.tensor([0, 1, 2, 2, 0, 2])


def cross_entropies(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    p = torch.sigmoid(logits.double())
    return -(target * p.log() + (1 - target) * (1 - p).log())


def test_dice_is_one_minus_soft_dice(masks: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, target = masks
    p = torch.sigmoid(logits)
    expected = 1 - 2 * (p * target).sum() / (p.sum() + target.sum())
    assert SEGMENTATION_LOSSES["dice"]()(logits, target).item() == pytest.approx(expected.item(), abs=1e-6)


def test_dice_of_a_batch_without_lesions_is_zero() -> None:
    assert SEGMENTATION_LOSSES["dice"]()(torch.randn(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)).item() == 0


def test_bce_weighs_and_smooths(masks: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, target = masks
    bce = SEGMENTATION_LOSSES["bce"]
    assert bce()(logits, target).item() == pytest.approx(cross_entropies(logits, target).mean().item(), rel=1e-5)
    weighted = (cross_entropies(logits, target) * (1 + 3 * target)).mean()
    assert bce(positive_weight=4.0)(logits, target).item() == pytest.approx(weighted.item(), rel=1e-5)
    smooth = cross_entropies(logits, target * 0.9 + (1 - target) * 0.1).mean()
    assert bce(smoothing=0.1)(logits, target).item() == pytest.approx(smooth.item(), rel=1e-5)


def test_dice_bce_is_the_weighted_sum(masks: tuple[torch.Tensor, torch.Tensor]) -> None:
    parts = [SEGMENTATION_LOSSES[name]()(*masks).item() for name in ("dice", "bce")]
    assert SEGMENTATION_LOSSES["dice_bce"]()(*masks).item() == pytest.approx(sum(parts) / 2, rel=1e-5)
    leaning = SEGMENTATION_LOSSES["dice_bce"](dice_weight=0.25)(*masks).item()
    assert leaning == pytest.approx(0.25 * parts[0] + 0.75 * parts[1], rel=1e-5)


def test_focal_of_masks_is_lins_formula(masks: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, target = masks
    p = torch.sigmoid(logits.double())
    p_truth = torch.where(target > 0, p, 1 - p)
    alpha = torch.where(target > 0, 0.25, 0.75)
    expected = (alpha * (1 - p_truth) ** 3 * -p_truth.log()).mean()
    loss = SEGMENTATION_LOSSES["focal"](gamma=3.0, alpha=0.25)(logits, target)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5])])
def test_cross_entropy_is_torchs(diagnoses: tuple[torch.Tensor, torch.Tensor], weights: torch.Tensor | None) -> None:
    logits, labels = diagnoses
    log_p = logits.double().log_softmax(1)[torch.arange(6), labels]
    w = torch.ones(6) if weights is None else weights[labels]
    loss = CLASSIFICATION_LOSSES["cross_entropy"](weights)(logits, labels)
    assert loss.item() == pytest.approx(((-log_p * w).sum() / w.sum()).item(), rel=1e-5)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5])])
def test_focal_of_diagnoses_is_lins_formula(
    diagnoses: tuple[torch.Tensor, torch.Tensor], weights: torch.Tensor | None
) -> None:
    logits, labels = diagnoses
    p = logits.double().softmax(1)[torch.arange(6), labels]
    w = torch.ones(6) if weights is None else weights[labels]
    expected = ((1 - p) ** 2 * -p.log() * w).sum() / w.sum()
    loss = CLASSIFICATION_LOSSES["focal"](weights)(logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_mask_losses_and_gradients_are_finite_in_half_precision(name: str, scale: float) -> None:
    generator = torch.Generator().manual_seed(2)
    logits = (torch.randn(2, 1, 64, 64, generator=generator) * scale).bfloat16().requires_grad_()
    target = (torch.rand(2, 1, 64, 64, generator=generator) > 0.9).float()
    loss_function = SEGMENTATION_LOSSES[name]()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_function(logits, target)
    loss.backward()
    assert loss.ndim == 0 and loss.dtype == torch.float32 and math.isfinite(loss.item())
    assert logits.grad is not None and torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0
    # In float32 from the same rounded logits: nothing may have been lost to bfloat16 inside the loss.
    assert loss.item() == pytest.approx(loss_function(logits.detach().float(), target).item(), rel=1e-6)


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_diagnosis_losses_and_gradients_are_finite_in_half_precision(name: str, scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = (torch.randn(16, 3, generator=generator) * scale).bfloat16().requires_grad_()
    labels = torch.randint(0, 3, (16,), generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = CLASSIFICATION_LOSSES[name](torch.tensor([0.5, 1.0, 2.0]), [3, 9, 1])(logits, labels)
    loss.backward()
    assert loss.ndim == 0 and loss.dtype == torch.float32 and math.isfinite(loss.item())
    assert logits.grad is not None and torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
def test_better_masks_lose_less(name: str) -> None:
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:9, 5:12] = 1
    good, bad = (sign * (target * 2 - 1) * 3 for sign in (1, -1))
    loss = SEGMENTATION_LOSSES[name]()
    assert loss(good, target) < loss(torch.zeros_like(target), target) < loss(bad, target)


def test_balanced_weights_make_classes_weigh_the_same() -> None:
    counts = [40, 20, 4]
    weights = class_weights_of(counts, "balanced")
    assert weights is not None
    assert weights.tolist() == pytest.approx([64 / (3 * count) for count in counts])
    assert (weights * torch.tensor(counts)).tolist() == pytest.approx([64 / 3] * 3)
    assert class_weights_of(counts, "none") is None


def test_a_class_without_training_cases_weighs_nothing() -> None:
    weights = class_weights_of([6, 0, 2], "balanced")
    assert weights is not None and weights.tolist() == pytest.approx([8 / 12, 0, 8 / 4])
    with pytest.raises(ValueError, match="at least one"):
        class_weights_of([0, 0], "balanced")


def test_losses_move_with_their_weights_and_cost_no_parameters() -> None:
    loss = CLASSIFICATION_LOSSES["focal"](torch.ones(3))
    assert not list(loss.parameters())
    assert [name for name, _ in loss.named_buffers()] == ["loss.class_weights"]


@pytest.mark.parametrize(
    ("registry", "name", "options"),
    [
        (SEGMENTATION_LOSSES, "focal", {"gamma": 0.5}),
        (SEGMENTATION_LOSSES, "dice_bce", {"dice_weight": 2}),
        (SEGMENTATION_LOSSES, "dice", {"smoth": 1}),
        (CLASSIFICATION_LOSSES, "cross_entropy", {"smoothing": 1.0}),
    ],
)
def test_wrong_options_are_refused(registry: dict, name: str, options: dict) -> None:
    with pytest.raises(ValidationError):
        registry.check(name, options)  # type: ignore[attr-defined]


def test_focal_without_focus_is_cross_entropy(diagnoses: tuple[torch.Tensor, torch.Tensor]) -> None:
    from utils.losses.modules import SoftmaxFocalLoss

    weights = torch.tensor([0.3, 2.0, 1.0])
    expected = functional.cross_entropy(*diagnoses, weight=weights)
    assert SoftmaxFocalLoss(0.0, weights)(*diagnoses).item() == pytest.approx(expected.item(), rel=1e-6)
