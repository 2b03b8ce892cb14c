"""Kinds of attention that weigh a skip's channels and positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.attention.registry import ATTENTION

if TYPE_CHECKING:
    from torch import nn

Reduction = Annotated[int, Field(ge=1)]


@ATTENTION.register("cbam")
def cbam(
    channels: int, gate_channels: int, *, reduction: Reduction = 16, kernel_size: Literal[3, 5, 7] = 7
) -> nn.Module:
    """Convolutional block attention (Woo et al. 2018, arXiv 1807.06521): channels, then positions."""
    from timm.layers.cbam import CbamModule

    from models.attention.modules.ungated import Ungated

    return Ungated(CbamModule(channels, rd_ratio=1 / reduction, spatial_kernel_size=kernel_size))


@ATTENTION.register("coord")
def coord(channels: int, gate_channels: int, *, reduction: Reduction = 32) -> nn.Module:
    """Coordinate attention (Hou et al. 2021, arXiv 2103.02907): a weight for each row and each column of a channel."""
    from timm.layers.coord_attn import CoordAttn

    from models.attention.modules.ungated import Ungated

    return Ungated(CoordAttn(channels, rd_channels=max(8, channels // reduction)))


@ATTENTION.register("scse")
def scse(channels: int, gate_channels: int, *, reduction: Reduction = 16) -> nn.Module:
    """Concurrent spatial and channel squeeze and excitation (Roy et al. 2018, arXiv 1803.02579).

    The reduction goes down to 4 channels at most.
    """
    from segmentation_models_pytorch.base.modules import SCSEModule

    from models.attention.modules.ungated import Ungated

    # smp divides by the reduction, and rounds down.
    return Ungated(SCSEModule(channels, reduction=min(reduction, max(channels // 4, 1))))
