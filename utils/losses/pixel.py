"""Losses that judge every pixel for itself and take the mean."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from utils.losses.segmentation import SEGMENTATION_LOSSES, one_class


@SEGMENTATION_LOSSES.register("bce")
def bce(
    channels: int = 1,
    *,
    positive_weight: Annotated[float, Field(gt=0)] = 1.0,
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0,
) -> Any:
    """Binary cross-entropy, mean over pixels; with several classes the softmax cross-entropy.

    positive_weight: weight of lesion pixels, with several classes of all but the background. smoothing: targets
    become `smoothing` and 1 - `smoothing`; several classes share out `smoothing` among those that are not the truth.
    """
    import torch
    from segmentation_models_pytorch.losses import SoftBCEWithLogitsLoss

    if channels > 1:
        from utils.losses.modules import InFloat32, SoftmaxCrossEntropy

        return InFloat32(SoftmaxCrossEntropy(channels, positive_weight, smoothing))
    weight = None if positive_weight == 1.0 else torch.tensor([positive_weight])
    loss = SoftBCEWithLogitsLoss(ignore_index=None, smooth_factor=smoothing or None, pos_weight=weight)
    return one_class(loss, channels)


@SEGMENTATION_LOSSES.register("focal")
def focal(
    channels: int = 1,
    *,
    gamma: Annotated[float, Field(ge=1)] = 2.0,
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None,
) -> Any:
    """Focal loss, mean over pixels: cross-entropy times (1 - p of the truth) ** `gamma`.

    `alpha` weighs lesion pixels and 1 - `alpha` the others; None weighs none. Below 1, `gamma`
    would make the gradient of a perfect pixel infinite, so it is not taken.
    Lin et al. 2017, arXiv:1708.02002.
    """
    from segmentation_models_pytorch.losses import BINARY_MODE, FocalLoss

    return one_class(FocalLoss(BINARY_MODE, alpha=alpha, gamma=gamma), channels)
