"""Mask logits from a decoder's output."""

from __future__ import annotations

from torch import nn


def segmentation_head(channels: int, mask_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Module:
    """smp's head, a convolution and bilinear enlargement.

    (B, channels, h, w) to (B, mask_channels, h * stride, w * stride).
    """
    from segmentation_models_pytorch.base import SegmentationHead

    return SegmentationHead(channels, mask_channels, kernel_size=kernel_size, upsampling=stride)
