"""Context of several sizes around every position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from models.bottlenecks.bottleneck import BOTTLENECKS

if TYPE_CHECKING:
    from torch import nn

Rates = Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=8)]
BranchChannels = Annotated[int, Field(ge=1, le=4096)]


@BOTTLENECKS.register("aspp")
def aspp(channels: int, *, rates: Rates = (1, 6, 12, 18), branch_channels: BranchChannels = 256) -> nn.Module:
    """Atrous spatial pyramid pooling: parallel dilated 3x3 convolutions (Chen et al. 2017, arXiv 1606.00915).

    rates: dilation of each branch.
    branch_channels: of each branch; 256, as in DeepLab, makes 21 million parameters of 2048 channels, where branches
        as wide as the feature would make 168.
    """
    from models.aspp import ASPP

    return ASPP(channels, channels, rates, branch_channels)
