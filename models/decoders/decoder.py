"""What every decoder is, and the adapter that makes smp's decoders such ones."""

from __future__ import annotations

from torch import Tensor, nn

from models.heads.segmentation import segmentation_head


class Decoder(nn.Module):
    """Features (B, C_i, H / s_i, W / s_i), the finest first, to a map (B, out_channels, H / stride, W / stride).

    out_channels: channels of its output.
    stride: side of the image divided by side of its output; the segmentation head makes up for it.
    head_kernel: side of the segmentation head's convolution.
    smallest: shortest side of an image that it can process; smaller ones are padded.
    side_channels: channels of its coarser outputs, the coarsest first, for deep supervision; empty if it has but one.
    """

    out_channels: int
    stride: int = 1
    head_kernel: int = 3
    smallest: int = 1
    side_channels: tuple[int, ...] = ()

    def with_sides(self, features: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """As calling it, with its coarser outputs (B, side_channels[i], h_i, w_i) before it, the coarsest first."""
        raise NotImplementedError

    def segmentation_head(self, mask_channels: int) -> nn.Module:
        """What turns its output into logits at the image's size; a decoder that scores in another way overrides it."""
        return segmentation_head(self.out_channels, mask_channels, self.head_kernel, self.stride)

    def initialise(self) -> None:
        """Draws initial weights other than its layers' defaults; called when every layer of the network exists."""


class SmpDecoder(Decoder):
    """One of smp's decoders with what smp's model of the same name puts around it."""

    def __init__(
        self, layers: nn.Module, out_channels: int, stride: int = 1, head_kernel: int = 3, smallest: int = 1
    ) -> None:
        super().__init__()
        self.layers = layers
        self.out_channels = out_channels
        self.stride = stride
        self.head_kernel = head_kernel
        self.smallest = smallest

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features, the finest first, to a map (B, out_channels, H / stride, W / stride)."""
        return self.layers(features)

    def initialise(self) -> None:
        """Kaiming-uniform convolutions, as smp's models do."""
        from segmentation_models_pytorch.base.initialization import initialize_decoder

        initialize_decoder(self.layers)
