"""The expanding path of a U-Net: the deepest feature enlarged step by step, a skip joining at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import Attend
from models.decoders.decoder import Decoder

Up = Literal["bilinear", "transposed"]
Convolution = Callable[[int, int], nn.Module]
"""(channels in, channels out) -> what a block does after joining."""

IMAGE_CHANNELS = 3
"""smp's encoders hand the image itself on as their first feature."""


class UpBlock(nn.Module):
    """Twice the side, the skip of that size, where there is one, under attention, concatenation, convolutions.

    channels: of the feature from below. skip_channels: 0 where no skip joins.
    up: a transposed convolution learns to enlarge, and halves the channels; bilinear enlargement keeps them.
    attend: makes the attention on the skip; its gate is the enlarged feature.
    """

    def __init__(
        self,
        channels: int,
        skip_channels: int,
        out_channels: int,
        convolution: Convolution,
        attend: Attend,
        up: Up = "bilinear",
    ) -> None:
        super().__init__()
        enlarged = channels if up == "bilinear" else max(channels // 2, 1)
        self.up = None if up == "bilinear" else nn.ConvTranspose2d(channels, enlarged, 2, stride=2)
        self.joins = skip_channels > 0
        self.attention = attend(skip_channels, enlarged) if self.joins else None
        self.convolution = convolution(enlarged + skip_channels, out_channels)

    def forward(self, feature: Tensor, skip: Tensor) -> Tensor:
        """(B, channels, h, w) and (B, skip_channels, 2h, 2w) to (B, out_channels, 2h, 2w).

        Of a skip that does not join only the size is looked at, whatever its channels.
        """
        if self.up is not None:
            feature = self.up(feature)
        if feature.shape[-2:] != skip.shape[-2:]:
            feature = F.interpolate(feature, skip.shape[-2:], mode="bilinear", align_corners=False)
        if self.joins:
            joining = skip if self.attention is None else self.attention(skip, feature)
            feature = torch.cat([joining, feature], dim=1)
        return self.convolution(feature)


class UpPath(Decoder):
    """One `UpBlock` for every halving of the encoder, up to the size of the image.

    encoder_channels: of the encoder's features, the finest first. Its first feature joins where it is one, and not the
        image itself; levels that exist in name only (0 channels) do not.
    channels: of each block, the deepest first; None: as many as the skip has that joins, and half of what comes from
        below where none does.
    convolution, attend, up: as for `UpBlock`.
    deepest: what is done to the deepest feature first, and the channels it leaves; None: nothing.

    Its coarser outputs are those of all blocks but the last.
    """

    head_kernel = 1

    def __init__(
        self,
        encoder_channels: Sequence[int],
        channels: Sequence[int] | None,
        convolution: Convolution,
        attend: Attend,
        up: Up = "bilinear",
        deepest: tuple[nn.Module, int] | None = None,
    ) -> None:
        super().__init__()
        self.deepest, below = deepest or (nn.Identity(), encoder_channels[-1])
        joining = [0 if encoder_channels[0] == IMAGE_CHANNELS else encoder_channels[0], *encoder_channels[1:-1]]
        self.skips = tuple(level for level, count in enumerate(joining) if count)
        self.blocks = nn.ModuleList()
        widths = []
        for index, skip_channels in enumerate(reversed(joining)):
            width = channels[index] if channels is not None else skip_channels or max(below // 2, 1)
            self.blocks.append(UpBlock(below, skip_channels, width, convolution, attend, up))
            widths.append(width)
            below = width
        self.out_channels = widths[-1]
        self.side_channels = tuple(widths[:-1])

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features, the finest first, to a map (B, out_channels, H, W) of the image's size."""
        return self.with_sides(features)[1]

    def with_sides(self, features: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """As calling it, with the outputs of the blocks before the last, the coarsest first."""
        outputs = [self.deepest(features[-1])]
        for level, block in zip(range(len(self.blocks) - 1, -1, -1), self.blocks, strict=True):
            outputs.append(block(outputs[-1], features[level]))
        return outputs[1:-1], outputs[-1]
