"""Kinds of attention that look at the skip alone."""

from __future__ import annotations

from torch import Tensor, nn


class Ungated(nn.Module):
    """Makes a module of one input one of (skip, gate) that leaves the gate aside."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, skip: Tensor, gate: Tensor | None = None) -> Tensor:
        """Skip (B, C, h, w) to the same shape."""
        return self.layers(skip)
