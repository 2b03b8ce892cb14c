"""The number type that a loss is computed in."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InFloat32(nn.Module):
    """A loss of (prediction, target), computed in float32 whatever the prediction came in.

    Autocast is switched off inside: its rules would undo the cast for some operations.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar float32 tensor."""
        with torch.autocast(prediction.device.type, enabled=False):
            return self.loss(prediction.float(), target.float() if target.is_floating_point() else target)
