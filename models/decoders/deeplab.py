"""Atrous spatial pyramid pooling on dilated features: DeepLabV3 and V3+ from smp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from models.decoders.registry import DECODERS
from models.encoders.encoder import Encoder

if TYPE_CHECKING:
    from models.decoders.decoder import Decoder

Rates = tuple[int, int, int]


@DECODERS.register("deeplabv3")
def deeplabv3(
    encoder: Encoder,
    *,
    channels: int = 256,
    rates: Rates = (12, 24, 36),
    dropout: float = 0.5,
    output_stride: Literal[8, 16] = 8,
) -> Decoder:
    """DeepLabV3 (Chen et al. 2017, arXiv 1706.05587): no skip, so masks have the detail of `output_stride` pixels."""
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3Decoder

    from models.decoders.decoder import SmpDecoder

    layers = DeepLabV3Decoder(
        in_channels=encoder.out_channels[-1],
        out_channels=channels,
        atrous_rates=rates,
        aspp_separable=False,
        aspp_dropout=dropout,
    )
    return SmpDecoder(layers, channels, stride=output_stride, head_kernel=1)


@DECODERS.register("deeplabv3plus")
def deeplabv3plus(
    encoder: Encoder,
    *,
    channels: int = 256,
    rates: Rates = (12, 24, 36),
    dropout: float = 0.5,
    depth: Literal[3, 4, 5] = 5,
    output_stride: Literal[8, 16] = 16,
    separable: bool = True,
) -> Decoder:
    """DeepLabV3+ (Chen et al. 2018, arXiv 1802.02611): ASPP joined with the feature of stride 4.

    depth: 4 reads no deeper than stride 16, which then needs no dilation (a ResNet's layers 1 to 3).
    separable: whether the pyramid's dilated convolutions are depthwise, then pointwise, or plain.
    """
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

    from models.decoders.decoder import SmpDecoder

    layers = DeepLabV3PlusDecoder(
        encoder_channels=encoder.out_channels,
        encoder_depth=depth,
        out_channels=channels,
        atrous_rates=rates,
        output_stride=output_stride,
        aspp_separable=separable,
        aspp_dropout=dropout,
    )
    return SmpDecoder(layers, channels, stride=4, head_kernel=1)
