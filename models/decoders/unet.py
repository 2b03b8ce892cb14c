"""U-shaped decoders from smp: one block a level, each with the encoder's feature of that level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from models.decoders.channels import Channels, Depth, one_a_level
from models.decoders.registry import DECODERS
from models.encoders.encoder import Encoder

if TYPE_CHECKING:
    from models.decoders.decoder import Decoder

Attention = Literal["none", "scse"]


@DECODERS.register("unet")
def unet(
    encoder: Encoder,
    *,
    channels: Channels = (256, 128, 64, 32, 16),
    attention: Attention = "none",
    depth: Depth = 5,
) -> Decoder:
    """U-Net (Ronneberger et al. 2015, arXiv 1505.04597).

    channels: of each block, the deepest first; the first `depth` of them are used.
    attention: scse puts concurrent spatial and channel squeeze and excitation (arXiv 1803.02579) into every block.
    """
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    from models.decoders.decoder import SmpDecoder

    channels = one_a_level(channels, depth)
    layers = UnetDecoder(
        encoder_channels=encoder.out_channels,
        decoder_channels=channels,
        n_blocks=depth,
        add_center_block=_is_vgg(encoder),
        attention_type=None if attention == "none" else attention,
    )
    return SmpDecoder(layers, out_channels=channels[-1])


@DECODERS.register("unetplusplus")
def unetplusplus(
    encoder: Encoder,
    *,
    channels: Channels = (256, 128, 64, 32, 16),
    attention: Attention = "none",
    depth: Depth = 5,
) -> Decoder:
    """U-Net++ (Zhou et al. 2018, arXiv 1807.10165); options as for `unet`.

    Under deep supervision all of its nested outputs are trained.
    """
    # smp's model gives VGG a centre block here too, but this decoder's forward never calls it.
    from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder

    from models.decoders.modules.nested import NestedDecoder

    channels = one_a_level(channels, depth)
    layers = UnetPlusPlusDecoder(
        encoder_channels=encoder.out_channels,
        decoder_channels=channels,
        n_blocks=depth,
        attention_type=None if attention == "none" else attention,
    )
    return NestedDecoder(layers, out_channels=channels[-1])


@DECODERS.register("manet")
def manet(
    encoder: Encoder, *, channels: Channels = (256, 128, 64, 32, 16), pab_channels: int = 64, depth: Depth = 5
) -> Decoder:
    """MA-Net (Fan et al. 2020, IEEE Access): position-wise and multi-scale attention.

    pab_channels: width of the position-wise attention; it compares every pair of positions of the deepest feature.
    """
    from segmentation_models_pytorch.decoders.manet.decoder import MAnetDecoder

    from models.decoders.decoder import SmpDecoder

    channels = one_a_level(channels, depth)
    layers = MAnetDecoder(
        encoder_channels=encoder.out_channels,
        decoder_channels=channels,
        n_blocks=depth,
        pab_channels=pab_channels,
    )
    return SmpDecoder(layers, out_channels=channels[-1])


@DECODERS.register("linknet")
def linknet(encoder: Encoder) -> Decoder:
    """LinkNet (Chaurasia and Culurciello 2017, arXiv 1707.03718): skips are added, not concatenated."""
    from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder

    from models.decoders.decoder import SmpDecoder

    layers = LinknetDecoder(encoder_channels=encoder.out_channels, prefinal_channels=32, n_blocks=5)
    return SmpDecoder(layers, out_channels=32, head_kernel=1)


def _is_vgg(encoder: Encoder) -> bool:
    # VGG's deepest feature comes straight from a pooling layer; smp gives it two more convolutions there.
    from torchvision.models import VGG

    return isinstance(encoder, VGG)
