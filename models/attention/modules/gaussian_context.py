"""Gaussian context transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GaussianContext(nn.Module):
    """Channels whose mean strays from the others' are damped (Ruan et al., CVPR 2021).

    z: the channels' means over positions, brought to mean 0 and variance 1 over the channels of a sample;
    result x_c * exp(-z_c^2 / (2 * deviation^2)).

    deviation: of the Gaussian. Fixed (the paper's GCT-B0, without a parameter) or the value at which it begins
    learned: as in GCT-B1, one number, kept within (0, 2 * deviation) by a sigmoid.
    """

    def __init__(self, deviation: float = 2.0, learned: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.deviation = deviation
        self.theta = nn.Parameter(torch.zeros(1)) if learned else None
        self.eps = eps

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        context = feature.float().mean((2, 3), keepdim=True)
        centred = context - context.mean(1, keepdim=True)
        normalised = centred / (centred.square().mean(1, keepdim=True) + self.eps).sqrt()
        deviation = self.deviation if self.theta is None else 2 * self.deviation * torch.sigmoid(self.theta.float())
        return feature * torch.exp(-((normalised / deviation) ** 2) / 2).to(feature.dtype)
