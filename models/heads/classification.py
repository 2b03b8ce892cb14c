"""Class logits from the deepest feature."""

from __future__ import annotations

from torch import nn


def classification_head(channels: int, classes: int, dropout: float = 0.2) -> nn.Module:
    """smp's head: global average pooling, dropout, linear; (B, channels, h, w) to (B, classes)."""
    from segmentation_models_pytorch.base import ClassificationHead

    return ClassificationHead(channels, classes, pooling="avg", dropout=dropout)
