"""Kinds of attention that weigh a skip's channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.attention.registry import ATTENTION

if TYPE_CHECKING:
    from torch import nn

Reduction = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


@ATTENTION.register("gct")
def gct(channels: int, gate_channels: int) -> nn.Module:
    """Gated channel transformation (Yang et al., CVPR 2020, arXiv 1909.11519)."""
    from models.attention.modules.gated_channels import GatedChannels
    from models.attention.modules.ungated import Ungated

    return Ungated(GatedChannels(channels))


@ATTENTION.register("gaussian_gct")
def gaussian_gct(channels: int, gate_channels: int, *, deviation: Positive = 2.0, learned: bool = False) -> nn.Module:
    """Gaussian context transformer (Ruan et al., CVPR 2021): GCT-B0, or GCT-B1 if the deviation is learned."""
    from models.attention.modules.gaussian_context import GaussianContext
    from models.attention.modules.ungated import Ungated

    return Ungated(GaussianContext(deviation, learned))


@ATTENTION.register("gc")
def gc(
    channels: int, gate_channels: int, *, reduction: Reduction = 16, fusion: Literal["add", "scale"] = "add"
) -> nn.Module:
    """Global context (Cao et al. 2019, arXiv 1904.11492): one attended summary of all positions, for every position.

    fusion: the summary is added, as in the paper's GC block, or scales channels, as timm has it by default.
    """
    from timm.layers.global_context import GlobalContext

    from models.attention.modules.ungated import Ungated

    # Its inner layer norm needs several channels: it would turn a single one into a constant.
    add = fusion == "add"
    return Ungated(GlobalContext(channels, fuse_add=add, fuse_scale=not add, rd_ratio=1 / reduction, rd_divisor=8))


@ATTENTION.register("srm")
def srm(channels: int, gate_channels: int) -> nn.Module:
    """Style-based recalibration (Lee et al., ICCV 2019, arXiv 1903.10829)."""
    from models.attention.modules.style_recalibration import StyleRecalibration
    from models.attention.modules.ungated import Ungated

    return Ungated(StyleRecalibration(channels))


@ATTENTION.register("se")
def se(channels: int, gate_channels: int, *, reduction: Reduction = 16) -> nn.Module:
    """Squeeze and excitation (Hu et al. 2018, arXiv 1709.01507), to multiples of 8 channels."""
    from timm.layers.squeeze_excite import SEModule

    from models.attention.modules.ungated import Ungated

    return Ungated(SEModule(channels, rd_ratio=1 / reduction))


@ATTENTION.register("eca")
def eca(channels: int, gate_channels: int) -> nn.Module:
    """Efficient channel attention (Wang et al. 2020, arXiv 1910.03151): a convolution along the channels."""
    from timm.layers.eca import EcaModule

    from models.attention.modules.ungated import Ungated

    return Ungated(EcaModule(channels))
