"""Two views of one feature: neighbours in space, and the spectrum, in which every position sees all others."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from models.bottlenecks.modules.spectrum import SpectralFilter


class DualDomain(nn.Module):
    """(B, channels, h, w) to the same shape: the input, and a 1x1 convolution of a spatial and a spectral branch.

    filter, grid: of the spectral branch, see `SpectralFilter`.
    reduction: the spatial branch has channels // reduction channels, at least 8: a bottleneck block as in ResNet-50.
    """

    def __init__(
        self, channels: int, filter: Literal["amplitude_phase", "real_imaginary"], grid: int, reduction: int
    ) -> None:
        super().__init__()
        narrow = max(channels // reduction, 8)
        self.spatial = nn.Sequential(
            nn.Conv2d(channels, narrow, 1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
        )
        self.spectral = SpectralFilter(channels, filter, grid)
        self.fusion = nn.Conv2d(narrow + channels, channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, channels, h, w) -> the same shape."""
        return feature + self.fusion(torch.cat([self.spatial(feature), self.spectral(feature)], dim=1))
