"""The gated attention of the ACA U-Net: which channels, and where, asked of skip and gate together."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AcaAttention(nn.Module):
    """Channel and spatial attention on a skip, guided by what the decoder knows already.

    With both = concatenation of skip and gate:
    channel = sigmoid(project(relu(reduce(mean of both over positions)))), (B, channels, 1, 1);
    spatial = sigmoid(to_one(relu(reduce3x3(both)))), (B, 1, h, w);
    result = relu(norm(conv1x1(skip * channel * spatial + skip))).

    Without a gate the skip guides itself.

    hidden: channels to which both paths reduce.
    """

    def __init__(self, channels: int, gate_channels: int, hidden: int) -> None:
        super().__init__()
        both = channels + gate_channels
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(both, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(both, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 1, 1),
            nn.Sigmoid(),
        )
        self.fusion = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )

    def forward(self, skip: Tensor, gate: Tensor | None = None) -> Tensor:
        """Skip (B, channels, h, w) and gate (B, gate_channels, h, w), or None, to the skip's shape."""
        both = skip if gate is None else torch.cat([skip, gate], dim=1)
        return self.fusion(skip * self.channel(both) * self.spatial(both) + skip)
