"""Losses that compare outlines."""

from __future__ import annotations

from typing import Any

from utils.losses.segmentation import SEGMENTATION_LOSSES, one_class


@SEGMENTATION_LOSSES.register("boundary")
def boundary(channels: int = 1) -> Any:
    """Mean of probability times signed distance to the true outline; to be used beside a region loss.

    The distance is negative inside, in parts of the image's diagonal, so that the loss is in (-1, 1), does not grow
    with the image and is least, below 0, for the perfect mask. Alone it says little near the outline, where the
    distances are small, and of a small lesion, so write ``{dice: 1, boundary: 1}``. An image that is empty or all
    lesion has no outline and counts 0, as the authors have it. A soft target has its outline where it passes 1/2.
    The distances are computed on the CPU. Kervadec et al. 2019, arXiv:1812.07032.
    """
    from utils.losses.modules import BoundaryLoss

    return one_class(BoundaryLoss(), channels)
