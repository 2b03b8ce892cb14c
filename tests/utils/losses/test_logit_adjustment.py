"""Logit adjustment against Menon's formula, and what it is for: the balanced error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from utils.losses import CLASSIFICATION_LOSSES, class_weights_of

adjusted = CLASSIFICATION_LOSSES["logit_adjustment"]


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


LABELS = torch.tensor([0, 1, 2, 2, 0, 2])


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5])])
@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_the_formula(logits: torch.Tensor, tau: float, weights: torch.Tensor | None) -> None:
    counts = np.array([70, 20, 10])
    z = logits.numpy().astype(np.float64) + tau * np.log(counts / 100)
    labels = LABELS.numpy()
    each = np.log(np.exp(z).sum(1)) - z[np.arange(6), labels]
    w = np.ones(6) if weights is None else weights.numpy()[labels]
    found = adjusted(weights, counts.tolist(), tau=tau)(logits, LABELS).item()
    assert found == pytest.approx((w * each).sum() / w.sum(), rel=1e-5)


def test_the_margin_is_that_of_the_pairwise_form(logits: torch.Tensor) -> None:
    """log(1 + sum over other classes of (prior_j / prior_y) exp(z_j - z_y)): equation 11 of the paper."""
    counts = torch.tensor([70.0, 20, 10])
    each = []
    for z, y in zip(logits, LABELS.tolist(), strict=True):
        others = torch.tensor([j for j in range(3) if j != y])
        each.append(torch.log1p((counts[others] / counts[y] * torch.exp(z[others] - z[y])).sum()))
    assert adjusted(None, [70, 20, 10])(logits, LABELS).item() == pytest.approx(
        torch.stack(each).mean().item(), rel=1e-5
    )


def test_equal_counts_adjust_nothing(logits: torch.Tensor) -> None:
    expected = functional.cross_entropy(logits, LABELS).item()
    assert adjusted(None, [5, 5, 5])(logits, LABELS).item() == pytest.approx(expected, rel=1e-6)


def test_a_class_without_training_cases_counts_as_one(logits: torch.Tensor) -> None:
    none, one = (adjusted(None, [30, 9, count]) for count in (0, 1))
    logits.requires_grad_()
    loss = none(logits, torch.tensor([0, 1, 0, 0, 1, 0]))
    assert torch.equal(none(logits, LABELS), one(logits, LABELS))
    loss.backward()
    assert logits.grad is not None and (logits.grad[:, 2] > 0).all(), "its logit is still pushed down"


def test_it_needs_the_counts_and_the_other_losses_do_not(logits: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="class counts"):
        adjusted()
    for name in ("cross_entropy", "focal"):
        with_counts = CLASSIFICATION_LOSSES[name](None, [70, 20, 10])
        assert torch.equal(with_counts(logits, LABELS), CLASSIFICATION_LOSSES[name](None)(logits, LABELS))


def test_class_weights_and_priors_go_together(logits: torch.Tensor) -> None:
    weights = class_weights_of([70, 20, 10], "balanced")
    assert adjusted(weights, [70, 20, 10])(logits, LABELS).isfinite()


def test_the_bias_learnt_is_that_of_balanced_classes() -> None:
    """Inputs that say nothing: cross-entropy learns the priors, the adjusted loss that no class is more likely."""
    counts = [80, 15, 5]
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    for name, expected in (("cross_entropy", [0.8, 0.15, 0.05]), ("logit_adjustment", [1 / 3] * 3)):
        bias = torch.zeros(3, requires_grad=True)
        optimizer, loss = torch.optim.LBFGS([bias], max_iter=50), CLASSIFICATION_LOSSES[name](None, counts)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()  # noqa: B023
            value = loss(bias.expand(100, 3), labels)  # noqa: B023
            value.backward()
            return value

        optimizer.step(closure)
        assert bias.softmax(0).tolist() == pytest.approx(expected, abs=1e-3)
