"""Gated channel transformation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GatedChannels(nn.Module):
    """Channels that compete or cooperate by their norms (Yang et al., CVPR 2020, arXiv 1909.11519).

    s_c = alpha_c * sqrt(sum of x_c^2 over positions + eps); s_c is divided by the root mean square of s over channels;
    result x_c * (1 + tanh(gamma_c * s_c + beta_c)). As gamma and beta begin at 0, it begins as the identity.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.eps = eps

    def forward(self, feature: Tensor) -> Tensor:
        """(B, channels, h, w) to the same shape."""
        # A sum of squares over an image does not fit into half precision.
        energy = feature.float().square().sum((2, 3), keepdim=True)
        embedding = (energy + self.eps).sqrt() * self.alpha
        normalised = embedding / (embedding.square().mean(1, keepdim=True) + self.eps).sqrt()
        gate = 1 + torch.tanh(self.gamma * normalised + self.beta)
        return feature * gate.to(feature.dtype)
