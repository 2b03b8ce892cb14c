"""Class logits from a pooled feature."""

from __future__ import annotations

from typing import Literal

from segmentation_models_pytorch.base import ClassificationHead
from torch import Tensor


class PooledHead(ClassificationHead):
    """Global pooling, dropout, linear: smp's, for one of two features."""

    def __init__(
        self,
        channels: int,
        classes: int,
        dropout: float,
        pooling: Literal["avg", "max"],
        feature: Literal["after_bottleneck", "before_bottleneck"],
    ) -> None:
        super().__init__(channels, classes, pooling=pooling, dropout=dropout)
        self.feature = feature

    def forward(self, before: Tensor, after: Tensor, masks: Tensor) -> Tensor:
        """Features (B, channels, h, w) -> (B, classes); the mask is not looked at."""
        return super().forward(before if self.feature == "before_bottleneck" else after)
