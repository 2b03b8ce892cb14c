"""U-shaped decoders of ours: they place attention on the skips, where the feature from below can guide it.

They differ in their blocks, see `models.decoders.modules.up_path`. The encoder's feature of full resolution joins too
where there is one: with the encoder `unet_scratch` these are networks from scratch.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.decoders.channels import Channels, Depth, Dropout, one_a_level
from models.decoders.registry import DECODERS
from models.encoders.encoder import Encoder

if TYPE_CHECKING:
    from torch import nn

    from models.attention import Attend
    from models.decoders.decoder import Decoder

Rates = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
Positive = Annotated[int, Field(ge=1)]


@DECODERS.register("unet_scratch")
def unet_scratch(
    encoder: Encoder,
    attend: Attend,
    *,
    channels: Channels | None = None,
    up: Literal["bilinear", "transposed"] = "transposed",
    dropout: Dropout = 0.0,
    depth: Depth = 5,
) -> Decoder:
    """U-Net's expanding path (Ronneberger et al. 2015, arXiv 1505.04597) with batch normalisation.

    channels: of each block, the deepest first; null: as many as the encoder has on that level.
    up: transposed convolutions, as in the paper, or bilinear enlargement.
    dropout: of whole channels after every double convolution.
    depth: 4 is the paper's.
    """
    from models.decoders.modules.up_path import UpPath
    from models.double_convolution import DoubleConvolution

    channels = None if channels is None else one_a_level(channels, depth)
    convolution = functools.partial(DoubleConvolution, dropout=dropout)
    return UpPath(encoder.out_channels, channels, convolution, attend, up)


@DECODERS.register("attention_unet")
def attention_unet(
    encoder: Encoder,
    attend: Attend,
    *,
    channels: Channels = (256, 128, 64, 32, 16),
    up: Literal["bilinear", "transposed"] = "bilinear",
    dropout: Dropout = 0.0,
    depth: Depth = 5,
) -> Decoder:
    """Residual double convolutions, with `model.attention` on the skips (after Oktay et al. 2018, arXiv 1804.03999).

    Options as for `unet_scratch`.
    """
    from models.decoders.modules.up_path import UpPath
    from models.double_convolution import ResidualDoubleConvolution

    convolution = functools.partial(ResidualDoubleConvolution, dropout=dropout)
    return UpPath(encoder.out_channels, one_a_level(channels, depth), convolution, attend, up)


@DECODERS.register("aca")
def aca(
    encoder: Encoder,
    attend: Attend,
    *,
    channels: Channels | None = None,
    rates: Rates = (1, 6, 12, 18),
    aspp_channels: Positive = 256,
    reduction: Positive = 16,
    dropout: Dropout = 0.0,
    depth: Depth = 5,
) -> Decoder:
    """ASPP on the deepest feature, then bilinear up-blocks with ACA attention on the skips.

    channels, dropout, depth: as for `unet_scratch`.
    rates: dilation of the pyramid's branches. aspp_channels: of each, and of what comes of them.
    reduction: of the attention's inner channels. A kind named as `model.attention` takes the place of ACA's own.
    """
    from models.aspp import ASPP
    from models.attention import ATTENTION
    from models.decoders.modules.up_path import UpPath
    from models.double_convolution import DoubleConvolution

    def attend_or_aca(skip_channels: int, gate_channels: int) -> nn.Module | None:
        chosen = attend(skip_channels, gate_channels)
        return ATTENTION["aca"](skip_channels, gate_channels, reduction=reduction) if chosen is None else chosen

    channels = None if channels is None else one_a_level(channels, depth)
    convolution = functools.partial(DoubleConvolution, dropout=dropout)
    pyramid = ASPP(encoder.out_channels[-1], aspp_channels, rates)
    return UpPath(encoder.out_channels, channels, convolution, attend_or_aca, deepest=(pyramid, aspp_channels))
