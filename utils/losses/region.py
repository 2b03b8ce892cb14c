"""Losses that compare regions: how much of the drawn and of the true lesion is shared, all pixels of the batch as one.

All but `lovasz` and `mcc` are 0 for a batch without any lesion, which leaves such a batch to the loss beside them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from utils.losses.segmentation import SEGMENTATION_LOSSES, one_class

Share = Annotated[float, Field(ge=0, le=10)]


@SEGMENTATION_LOSSES.register("dice")
def dice(channels: int = 1, *, smooth: Annotated[float, Field(ge=0)] = 0.0) -> Any:
    """1 - soft Dice, with all pixels of the batch as one set; 0 for a batch without any lesion.

    Milletari et al. 2016 (V-Net), arXiv:1606.04797, with the denominator of segmentation_models_pytorch.
    """
    from segmentation_models_pytorch.losses import BINARY_MODE, DiceLoss

    return one_class(DiceLoss(BINARY_MODE, from_logits=True, smooth=smooth), channels)


@SEGMENTATION_LOSSES.register("iou")
def iou(channels: int = 1, *, smooth: Annotated[float, Field(ge=0)] = 0.0) -> Any:
    """1 - soft intersection over union (Jaccard index); 0 for a batch without any lesion.

    Rahman and Wang 2016, ISVC.
    """
    from segmentation_models_pytorch.losses import BINARY_MODE, JaccardLoss

    return one_class(JaccardLoss(BINARY_MODE, from_logits=True, smooth=smooth), channels)


@SEGMENTATION_LOSSES.register("tversky")
def tversky(
    channels: int = 1, *, alpha: Share = 0.3, beta: Share = 0.7, smooth: Annotated[float, Field(ge=0)] = 0.0
) -> Any:
    """1 - TP / (TP + `alpha` FP + `beta` FN): `beta` above `alpha` forgives false alarms rather than misses.

    0.5 and 0.5 is dice, 1 and 1 is iou. Salehi et al. 2017, arXiv:1706.05721.
    """
    from segmentation_models_pytorch.losses import BINARY_MODE, TverskyLoss

    return one_class(TverskyLoss(BINARY_MODE, from_logits=True, smooth=smooth, alpha=alpha, beta=beta), channels)


@SEGMENTATION_LOSSES.register("focal_tversky")
def focal_tversky(
    channels: int = 1,
    *,
    alpha: Share = 0.3,
    beta: Share = 0.7,
    gamma: Annotated[float, Field(gt=0, le=5)] = 0.75,
    smooth: Annotated[float, Field(ge=0)] = 0.0,
) -> Any:
    """The tversky loss to the power of `gamma`, with several classes that of each class.

    `gamma` is the exponent, as in the authors' code; the paper writes it as 1 / gamma and finds 3/4 best.
    Abraham and Khan 2019, arXiv:1810.07842.
    """
    from utils.losses.modules import FocalTverskyLoss

    return one_class(FocalTverskyLoss(alpha, beta, gamma, smooth), channels)


@SEGMENTATION_LOSSES.register("lovasz")
def lovasz(channels: int = 1, *, per_image: bool = False) -> Any:
    """Lovasz hinge: the convex surrogate of 1 - IoU; over the batch as one, or with `per_image` the mean over images.

    Without any lesion it is the hinge of the worst false alarm. A soft target t enters the Jaccard index as
    it is and the margin as 2 t - 1, so that t = 1/2 asks for nothing. Berman et al. 2018, arXiv:1705.08790.
    """
    from segmentation_models_pytorch.losses import BINARY_MODE, LovaszLoss

    return one_class(LovaszLoss(BINARY_MODE, per_image=per_image), channels)


@SEGMENTATION_LOSSES.register("mcc")
def mcc(channels: int = 1) -> Any:
    """1 - Matthews' correlation coefficient of probability and truth, which counts the true negatives too.

    In [0, 2]. A batch of nothing but lesion or nothing but background has no correlation; the small constant
    added to every count makes it 1/2 there for a perfect mask and close to 1 for others.
    Abhishek and Hamarneh 2021, arXiv:2010.13454.
    """
    from utils.losses.modules import MatthewsLoss

    return one_class(MatthewsLoss(), channels)
