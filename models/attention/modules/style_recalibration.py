"""Style-based recalibration."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StyleRecalibration(nn.Module):
    """Channels weighed by their style, mean and standard deviation (Lee et al., ICCV 2019, arXiv 1903.10829).

    z_c = w_c1 * mean_c + w_c2 * std_c, both over positions, every channel for itself; batch normalisation; result
    x_c * sigmoid(z_c). The weights begin at 0, so that every channel begins at half.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, 2))
        self.norm = nn.BatchNorm2d(channels)
        self.eps = eps

    def forward(self, feature: Tensor) -> Tensor:
        """(B, channels, h, w) to the same shape; in training B > 1."""
        wide = feature.float()
        mean = wide.mean((2, 3), keepdim=True)
        deviation = ((wide - mean).square().mean((2, 3), keepdim=True) + self.eps).sqrt()
        of_mean, of_deviation = self.weight.float().view(1, -1, 2, 1).split(1, dim=2)
        style = of_mean * mean + of_deviation * deviation
        return feature * torch.sigmoid(self.norm(style.to(self.norm.weight.dtype))).to(feature.dtype)
