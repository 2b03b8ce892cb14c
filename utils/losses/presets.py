"""Combinations of losses that have a name of their own, with weights that sum to 1."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from utils.losses.pixel import bce, focal
from utils.losses.region import dice
from utils.losses.segmentation import SEGMENTATION_LOSSES, weighted_sum

Share = Annotated[float, Field(ge=0, le=1)]


@SEGMENTATION_LOSSES.register("dice_bce")
def dice_bce(channels: int = 1, *, dice_weight: Share = 0.5) -> Any:
    """`dice_weight` * dice + (1 - `dice_weight`) * bce.

    Isensee et al. 2021 (nnU-Net), Nature Methods 18, with the weights summing to 1.
    """
    return weighted_sum((dice_weight, dice(channels)), (1 - dice_weight, bce(channels)))


@SEGMENTATION_LOSSES.register("dice_focal")
def dice_focal(channels: int = 1, *, dice_weight: Share = 0.5) -> Any:
    """`dice_weight` * dice + (1 - `dice_weight`) * focal.

    Zhu et al. 2019 (AnatomyNet), arXiv:1808.05238, with the weights summing to 1.
    """
    return weighted_sum((dice_weight, dice(channels)), (1 - dice_weight, focal(channels)))
