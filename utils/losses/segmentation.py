"""Losses of a drawn mask: logits (B, 1, H, W) and a target of 0 and 1 of that shape -> a scalar.

Factories import torch only when called: the sweep file is checked against the names without it.
Every loss works in float32 whatever the network computed in, because the sums over a batch of
pixels inside Dice do not fit the 8 bits of a bfloat16 mantissa.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from utils.registry import Registry

if TYPE_CHECKING:
    from torch import nn

SEGMENTATION_LOSSES: Registry = Registry("segmentation loss")
"""Name -> factory ``(*, options) -> nn.Module``."""


@SEGMENTATION_LOSSES.register("dice")
def dice(*, smooth: Annotated[float, Field(ge=0)] = 0.0) -> Any:
    """1 - soft Dice, with all pixels of the batch as one set; 0 for a batch without any lesion.

    Milletari et al. 2016 (V-Net), arXiv:1606.04797, with the denominator of segmentation_models_pytorch.
    """
    from segmentation_models_pytorch.losses import BINARY_MODE, DiceLoss

    return _in_float32(DiceLoss(BINARY_MODE, from_logits=True, smooth=smooth))


@SEGMENTATION_LOSSES.register("bce")
def bce(
    *, positive_weight: Annotated[float, Field(gt=0)] = 1.0, smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
) -> Any:
    """Binary cross-entropy, mean over pixels.

    positive_weight: weight of lesion pixels. smoothing: targets become `smoothing` and 1 - `smoothing`.
    """
    import torch
    from segmentation_models_pytorch.losses import SoftBCEWithLogitsLoss

    weight = None if positive_weight == 1.0 else torch.tensor([positive_weight])
    loss = SoftBCEWithLogitsLoss(ignore_index=None, smooth_factor=smoothing or None, pos_weight=weight)
    return _in_float32(loss)


@SEGMENTATION_LOSSES.register("dice_bce")
def dice_bce(*, dice_weight: Annotated[float, Field(ge=0, le=1)] = 0.5) -> Any:
    """`dice_weight` * dice + (1 - `dice_weight`) * bce.

    Isensee et al. 2021 (nnU-Net), Nature Methods 18, with the weights summing to 1.
    """
    return _weighted_sum(((dice_weight, dice()), (1 - dice_weight, bce())))


@SEGMENTATION_LOSSES.register("focal")
def focal(
    *, gamma: Annotated[float, Field(ge=1)] = 2.0, alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
) -> Any:
    """Focal loss, mean over pixels: cross-entropy times (1 - p of the truth) ** `gamma`.

    `alpha` weighs lesion pixels and 1 - `alpha` the others; None weighs none. Below 1, `gamma`
    would make the gradient of a perfect pixel infinite, so it is not taken.
    Lin et al. 2017, arXiv:1708.02002.
    """
    from segmentation_models_pytorch.losses import BINARY_MODE, FocalLoss

    return _in_float32(FocalLoss(BINARY_MODE, alpha=alpha, gamma=gamma))


def _in_float32(loss: nn.Module) -> nn.Module:
    """The same loss, computed in float32 even inside autocast."""
    from utils.losses.modules import InFloat32

    return InFloat32(loss)


def _weighted_sum(terms: tuple[tuple[float, nn.Module], ...]) -> nn.Module:
    """The weighted sum of losses."""
    from utils.losses.modules import WeightedSum

    return WeightedSum(terms)
