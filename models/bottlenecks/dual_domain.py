"""The feature seen in space and in frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.bottlenecks.bottleneck import BOTTLENECKS, Reduction
from models.bottlenecks.cbam import cbam

if TYPE_CHECKING:
    from torch import nn

Filter = Literal["amplitude_phase", "real_imaginary"]
Grid = Annotated[int, Field(ge=2, le=64)]


@BOTTLENECKS.register("dual_domain")
def dual_domain(
    channels: int, *, filter: Filter = "amplitude_phase", grid: Grid = 8, reduction: Reduction = 4
) -> nn.Module:
    """Convolutions beside learnable filters of the spectrum; both are fused and added to the input.

    filter: what the filters act on: amplitude and phase, or real and imaginary parts.
    grid: vertical frequencies of a filter, which is interpolated between them (as in GFNet, Rao et al. 2021, arXiv
        2107.00645); half as many and one horizontal ones.
    reduction: channels of the feature per channel of the convolutions; with 4, 2048 channels make 8.8 million
        parameters, 512 make 0.6.
    """
    from models.bottlenecks.modules.dual_domain import DualDomain

    return DualDomain(channels, filter, grid, reduction)


@BOTTLENECKS.register("dual_domain_cbam")
def dual_domain_cbam(
    channels: int,
    *,
    filter: Filter = "amplitude_phase",
    grid: Grid = 8,
    reduction: Reduction = 4,
    cbam_reduction: Reduction = 16,
    kernel_size: Literal[3, 5, 7] = 7,
) -> nn.Module:
    """`dual_domain`, then `cbam`.

    cbam_reduction, kernel_size: the options of `cbam`; the others are those of `dual_domain`.
    """
    from torch import nn

    first = dual_domain(channels, filter=filter, grid=grid, reduction=reduction)
    return nn.Sequential(first, cbam(channels, reduction=cbam_reduction, kernel_size=kernel_size))
