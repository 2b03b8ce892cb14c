"""Scores on several levels, enlarged and summed: the decoder and the head of a fully convolutional network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.decoders.decoder import Decoder


class BilinearUpsampling(nn.ConvTranspose2d):
    """(B, channels, h, w) to (B, channels, factor * h, factor * w) by a transposed convolution that can be trained.

    It begins as bilinear interpolation, at the borders too: there the outermost values are taken to continue.

    factor: an even number.
    """

    def __init__(self, channels: int, factor: int) -> None:
        # The border added in `forward` is cut off again by a padding of one more step.
        super().__init__(channels, channels, 2 * factor, stride=factor, padding=factor // 2 + factor, bias=False)
        # Weight by the distance between the centres of a fine pixel and a coarse one, in coarse pixels.
        distance = (torch.arange(2 * factor) - factor + 0.5).abs() / factor
        kernel = torch.outer(1 - distance, 1 - distance)
        with torch.no_grad():
            self.weight.zero_()
            for channel in range(channels):
                self.weight[channel, channel] = kernel

    def forward(self, scores: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Scores to as many channels, enlarged."""
        return super().forward(F.pad(scores, (1, 1, 1, 1), mode="replicate"), output_size)


class FullConvolution(Decoder):
    """The levels of an encoder that a fully convolutional network scores (Long et al. 2015, arXiv 1411.4038).

    Its output is not one map but a list, the deepest level first, which only its own segmentation head reads.

    encoder_channels: of the encoder's six features.
    levels: how many are scored, from the deepest (stride 32): 1, 2 or 3, for FCN-32s, FCN-16s and FCN-8s.
    pooled: whether the encoder, as VGG does, hands its features on as they are before each pooling. What the paper
        calls pool3 and pool4 is then made from the level before.
    hidden: channels of two more convolutions on the deepest feature, with dropout after each, like VGG's fc6 and fc7
        (7x7 and 1x1); 0: none.
    """

    def __init__(
        self, encoder_channels: Sequence[int], levels: int, pooled: bool, hidden: int = 0, dropout: float = 0.5
    ) -> None:
        super().__init__()
        deepest = len(encoder_channels) - 1
        self.pooling = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.skips = tuple(level - pooled for level in range(deepest - levels + 1, deepest))
        layers: list[nn.Module] = []
        if hidden:
            layers = [
                *(nn.Conv2d(encoder_channels[-1], hidden, 7, padding=3), nn.ReLU(inplace=True), nn.Dropout2d(dropout)),
                *(nn.Conv2d(hidden, hidden, 1), nn.ReLU(inplace=True), nn.Dropout2d(dropout)),
            ]
        self.deepest = nn.Sequential(*layers)
        self.scored_channels = (
            hidden or encoder_channels[-1],
            *(encoder_channels[level] for level in self.skips[::-1]),
        )
        self.out_channels = self.scored_channels[0]
        self.stride = 2**deepest

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Features, the finest first, to those that are scored, the deepest first, each twice as large as the last."""
        return [self.deepest(features[-1]), *(self.pooling(features[level]) for level in self.skips[::-1])]

    def segmentation_head(self, mask_channels: int) -> nn.Module:
        """Scores of every level, enlarged and summed, at the image's size."""
        return ScoreHead(self.scored_channels, mask_channels, self.stride)


class ScoreHead(nn.Module):
    """1x1 convolutions to scores; the coarsest enlarged by two and added to the next, and so on; the sum enlarged.

    channels: of each feature, the deepest first. stride: of the deepest.
    """

    def __init__(self, channels: Sequence[int], mask_channels: int, stride: int) -> None:
        super().__init__()
        self.scores = nn.ModuleList(nn.Conv2d(count, mask_channels, 1) for count in channels)
        self.doublings = nn.ModuleList(BilinearUpsampling(mask_channels, 2) for _ in channels[1:])
        self.enlargement = BilinearUpsampling(mask_channels, stride // 2 ** len(channels[1:]))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features, the deepest first, to logits (B, mask_channels, H, W)."""
        scores = self.scores[0](features[0])
        for feature, score, doubling in zip(features[1:], self.scores[1:], self.doublings, strict=True):
            scores = doubling(scores) + score(feature)
        return self.enlargement(scores)
