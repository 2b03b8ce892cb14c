"""Class logits from what lies under the predicted mask."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

FLOOR = 1e-3
"""Weight of a position without any mask, where one in the middle of a mask has 1."""


class MaskedHead(nn.Module):
    """The mean of a feature under the predicted mask, dropout, linear.

    detach: whether the mask is taken as given, so that the loss of the diagnosis has no gradient for it.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        dropout: float,
        feature: Literal["after_bottleneck", "before_bottleneck"],
        detach: bool,
    ) -> None:
        super().__init__()
        self.feature = feature
        self.detach = detach
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)

    def forward(self, before: Tensor, after: Tensor, masks: Tensor) -> Tensor:
        """Features (B, channels, h, w) and foreground logits (B, 1, H, W) of the same area -> (B, classes)."""
        feature = before if self.feature == "before_bottleneck" else after
        return self.linear(self.dropout(masked_mean(feature, masks.detach() if self.detach else masks)))


def masked_mean(feature: Tensor, masks: Tensor) -> Tensor:
    """Feature (B, C, h, w), foreground logits (B, 1, H, W) of the same area -> (B, C), in float32.

    A position weighs as much as the mean probability of the pixels that it stands for, and `FLOOR` more: the emptier
    the mask, the nearer is its mean to that of the whole feature. Logits may be -inf, where there cannot be a lesion.
    """
    height, width = feature.shape[-2:]
    weight = F.adaptive_avg_pool2d(masks.float().sigmoid(), (height, width)) + FLOOR
    return (weight * feature.float()).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))
