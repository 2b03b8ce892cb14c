"""Decoders from smp that gather several scales at a quarter (or an eighth) of the resolution, then enlarge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from models.decoders.registry import DECODERS
from models.encoders.encoder import Encoder

if TYPE_CHECKING:
    from models.decoders.decoder import Decoder


@DECODERS.register("fpn")
def fpn(
    encoder: Encoder,
    *,
    pyramid_channels: int = 256,
    segmentation_channels: int = 128,
    dropout: float = 0.2,
) -> Decoder:
    """Feature pyramid network (Kirillov et al. 2017, panoptic FPN slides; Lin et al. arXiv 1612.03144)."""
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

    from models.decoders.decoder import SmpDecoder

    layers = FPNDecoder(
        encoder_channels=encoder.out_channels,
        pyramid_channels=pyramid_channels,
        segmentation_channels=segmentation_channels,
        dropout=dropout,
    )
    return SmpDecoder(layers, layers.out_channels, stride=4, head_kernel=1)


@DECODERS.register("pspnet")
def pspnet(encoder: Encoder, *, channels: int = 512, dropout: float = 0.2, depth: Literal[3, 4, 5] = 3) -> Decoder:
    """Pyramid scene parsing (Zhao et al. 2017, arXiv 1612.01105) on the feature of stride 2 ** depth."""
    from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder

    from models.decoders.decoder import SmpDecoder

    layers = PSPDecoder(encoder_channels=encoder.out_channels, out_channels=channels, dropout=dropout)
    return SmpDecoder(layers, channels, stride=encoder.output_stride)


@DECODERS.register("pan")
def pan(encoder: Encoder, *, channels: int = 32, output_stride: Literal[16, 32] = 16) -> Decoder:
    """Pyramid attention network (Li et al. 2018, arXiv 1805.10180).

    Its attention halves the deepest feature three times: images are padded to at least 8 * output_stride.
    """
    from segmentation_models_pytorch.decoders.pan.decoder import PANDecoder

    from models.decoders.decoder import SmpDecoder

    layers = PANDecoder(encoder_channels=encoder.out_channels, encoder_depth=5, decoder_channels=channels)
    return SmpDecoder(layers, channels, stride=4, smallest=8 * output_stride)


@DECODERS.register("segformer")
def segformer(encoder: Encoder, *, channels: int = 256) -> Decoder:
    """SegFormer's all-MLP decoder (Xie et al. 2021, arXiv 2105.15203)."""
    from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder

    from models.decoders.decoder import SmpDecoder

    layers = SegformerDecoder(encoder_channels=encoder.out_channels, segmentation_channels=channels)
    return SmpDecoder(layers, channels, stride=4, head_kernel=1)


@DECODERS.register("upernet")
def upernet(encoder: Encoder, *, channels: int = 256) -> Decoder:
    """Unified perceptual parsing (Xiao et al. 2018, arXiv 1807.10221)."""
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    from models.decoders.decoder import SmpDecoder

    layers = UPerNetDecoder(encoder_channels=encoder.out_channels, decoder_channels=channels)
    return SmpDecoder(layers, channels, stride=4, head_kernel=1)
