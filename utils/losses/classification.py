"""Losses of a diagnosis: logits (B, C) and labels (B,) in [0, C) -> a scalar.

Factories take the class weights (C,) and the class counts of the training part, or None for either, from the program
and their options from the sweep file; they import torch only when called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from utils.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

CLASSIFICATION_LOSSES: Registry = Registry("classification loss")
"""Name -> factory ``(class_weights: Tensor | None, class_counts: Sequence[int] | None, *, options) -> nn.Module``."""


# Registered factories say Any for torch's types: the registry evaluates their annotations, and
# must be able to do so where torch is not imported.
@CLASSIFICATION_LOSSES.register("cross_entropy")
def cross_entropy(
    class_weights: Any = None, class_counts: Any = None, *, smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
) -> Any:
    """Softmax cross-entropy; `smoothing` spreads that share of the truth over all classes.

    Szegedy et al. 2016, arXiv:1512.00567 (smoothing).
    """
    from torch import nn

    from utils.losses.modules import InFloat32

    return InFloat32(nn.CrossEntropyLoss(weight=class_weights, label_smoothing=smoothing))


@CLASSIFICATION_LOSSES.register("focal")
def focal(class_weights: Any = None, class_counts: Any = None, *, gamma: Annotated[float, Field(ge=1)] = 2.0) -> Any:
    """Cross-entropy times (1 - p of the true class) ** `gamma`. Lin et al. 2017, arXiv:1708.02002.

    Below 1, `gamma` would make the gradient of a perfectly diagnosed case infinite, so it is not taken.
    """
    from utils.losses.modules import InFloat32, SoftmaxFocalLoss

    return InFloat32(SoftmaxFocalLoss(gamma, class_weights))


@CLASSIFICATION_LOSSES.register("logit_adjustment")
def logit_adjustment(
    class_weights: Any = None, class_counts: Any = None, *, tau: Annotated[float, Field(gt=0, le=10)] = 1.0
) -> Any:
    """Cross-entropy of logits + `tau` * log prior: rare classes must win by a larger margin. Menon et al. 2021.

    The priors are the shares of the classes in the training part. They are added in training alone; the network's
    own logits are what is evaluated, and with `tau` = 1 aim at the balanced error. A class without a training case is
    counted as one: with a prior of 0 it would leave the softmax, and its logit, which nothing had trained, could win
    at the test. arXiv:2007.07314. Raises ValueError without class counts.
    """
    from utils.losses.modules import InFloat32, LogitAdjustedLoss

    if class_counts is None:
        raise ValueError("logit adjustment needs the class counts of the training part")
    return InFloat32(LogitAdjustedLoss(tau, class_counts, class_weights))


ClassWeights = Literal["none", "balanced"]


def class_weights_of(label_counts: Sequence[int], scheme: ClassWeights) -> Tensor | None:
    """The weight of each class, (C,) float32, from how often it occurs in the TRAINING part of a fold.

    ``balanced``: n / (k * count) with n cases in the k classes that occur, so that every such class
    weighs the same in all; a class that never occurs weighs 0 (there is nothing to weigh, and its
    quotient would be infinite). ``none``: None. Raises ValueError if there is no case at all.
    """
    import torch

    if scheme == "none":
        return None
    counts = torch.as_tensor(list(label_counts), dtype=torch.float64)
    occurring = counts > 0
    if not occurring.any():
        raise ValueError("class weights need at least one training case")
    weights = torch.where(occurring, counts.sum() / (occurring.sum() * counts.clamp(min=1)), 0.0)
    return weights.float()
