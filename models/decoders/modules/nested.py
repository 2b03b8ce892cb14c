"""U-Net++ with the outputs that its deep supervision reads."""

from __future__ import annotations

from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from torch import Tensor, nn

from models.decoders.decoder import SmpDecoder


class NestedDecoder(SmpDecoder):
    """smp's U-Net++ decoder, whose coarser outputs are its nested ones (Zhou et al. 2018, arXiv 1807.10221).

    Theirs are x_0_1 to x_0_4, all at the finest level with a skip, from the one that has seen the next level only to
    the one that has seen them all. In smp's grid, `x_<depth>_<level>`, these are the blocks of the last level with a
    skip; where the encoder has that level in name only (mit_b0), the finest level that has channels stands in for it.
    """

    layers: UnetPlusPlusDecoder

    def __init__(self, layers: UnetPlusPlusDecoder, out_channels: int) -> None:
        super().__init__(layers, out_channels)
        # The last entry belongs to the block that reaches the image's size, where smp has no skip.
        level = max(index for index, channels in enumerate(layers.skip_channels[:-1]) if channels)
        self.side_names = [f"x_{depth}_{level}" for depth in range(level, -1, -1)]
        self.side_channels = tuple(layers.blocks[name].out_channels for name in self.side_names)

    def with_sides(self, features: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """As calling it, with its nested outputs, the one with the shortest way first."""
        blocks = [self.layers.blocks[name] for name in self.side_names]
        sides: dict[nn.Module, Tensor] = {}

        def keep(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            sides[block] = output

        # smp's decoder keeps its grid to itself.
        handles = [block.register_forward_hook(keep) for block in blocks]
        try:
            finest = self(features)
        finally:
            for handle in handles:
                handle.remove()
        return [sides[block] for block in blocks], finest
