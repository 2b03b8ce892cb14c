"""The additive attention gate of Attention U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

OPEN = 3.0


class AdditiveGate(nn.Module):
    """One coefficient in (0, 1) for every position of a skip, asked of skip and gate (Oktay et al. 2018, 1804.03999).

    a = sigmoid(psi(relu(W_x x + W_g g + b_g)) + b_psi), result a * x, with 1x1 convolutions W_x, W_g, psi; the gate
    comes at the skip's size, where theirs enlarged `a` instead.

    hidden: channels between.
    """

    def __init__(self, channels: int, gate_channels: int, hidden: int) -> None:
        super().__init__()
        self.of_skip = nn.Conv2d(channels, hidden, 1, bias=False)
        self.of_gate = nn.Conv2d(gate_channels, hidden, 1)
        self.coefficient = nn.Conv2d(hidden, 1, 1)
        # Gates begin nearly open everywhere, as the paper asks for.
        nn.init.constant_(self.coefficient.bias, OPEN)  # type: ignore[arg-type]

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Skip (B, channels, h, w) and gate (B, gate_channels, h, w) to the skip's shape."""
        return skip * torch.sigmoid(self.coefficient(torch.relu(self.of_skip(skip) + self.of_gate(gate))))
