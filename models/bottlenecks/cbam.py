"""Attention to channels, then to positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from models.bottlenecks.bottleneck import BOTTLENECKS, Reduction

if TYPE_CHECKING:
    from torch import nn


@BOTTLENECKS.register("cbam")
def cbam(channels: int, *, reduction: Reduction = 16, kernel_size: Literal[3, 5, 7] = 7) -> nn.Module:
    """Convolutional block attention module (Woo et al. 2018, arXiv 1807.06521), timm's.

    reduction: channels per hidden unit of the channel path.
    kernel_size: of the spatial path's convolution.
    """
    from timm.layers.cbam import CbamModule

    return CbamModule(channels, rd_ratio=1 / reduction, spatial_kernel_size=kernel_size)
