"""Fully convolutional networks (Long et al. 2015, arXiv 1411.4038): levels scored, the scores enlarged and summed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from models.decoders.registry import DECODERS
from models.encoders.encoder import Encoder

if TYPE_CHECKING:
    from models.decoders.decoder import Decoder

Hidden = Annotated[int, Field(ge=0)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


@DECODERS.register("fcn8")
def fcn8(encoder: Encoder, *, hidden: Hidden = 0, dropout: Dropout = 0.5) -> Decoder:
    """FCN-8s: scores of strides 32, 16 and 8 (pool5, pool4 and pool3 of a VGG).

    hidden: channels of two convolutions, with dropout, on the deepest level, like VGG's fc6 and fc7; 0: none.
    """
    return _fcn(encoder, 3, hidden, dropout)


@DECODERS.register("fcn16")
def fcn16(encoder: Encoder, *, hidden: Hidden = 0, dropout: Dropout = 0.5) -> Decoder:
    """FCN-16s: scores of strides 32 and 16; options as for `fcn8`."""
    return _fcn(encoder, 2, hidden, dropout)


@DECODERS.register("fcn32")
def fcn32(encoder: Encoder, *, hidden: Hidden = 0, dropout: Dropout = 0.5) -> Decoder:
    """FCN-32s: scores of stride 32 only; options as for `fcn8`."""
    return _fcn(encoder, 1, hidden, dropout)


def _fcn(encoder: Encoder, levels: int, hidden: int, dropout: float) -> Decoder:
    from torchvision.models import VGG

    from models.decoders.modules.full_convolution import FullConvolution

    # smp takes VGG's features from before each pooling; the paper's pool3 and pool4 come from after it.
    return FullConvolution(encoder.out_channels, levels, isinstance(encoder, VGG), hidden, dropout)
