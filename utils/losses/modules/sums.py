"""Weighted sums: of several losses of one prediction, and of one loss of several predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class WeightedSum(nn.Module):
    """The weighted sum of losses of the same prediction and target."""

    def __init__(self, terms: Sequence[tuple[float, nn.Module]]) -> None:
        super().__init__()
        self.weights = tuple(weight for weight, _ in terms)
        self.losses = nn.ModuleList(loss for _, loss in terms)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar tensor."""
        values = [weight * loss(prediction, target) for weight, loss in zip(self.weights, self.losses, strict=True)]
        return torch.stack(values).sum()


class DeepSupervision(nn.Module):
    """A loss of a network's mask and of the coarser ones that its decoder drew on the way.

    Every coarser output weighs half as much as the next finer one, and the weights sum to 1; without further outputs
    it is the loss itself. Isensee et al. 2021 (nnU-Net), Nature Methods 18, which leaves the coarsest of all out:
    here that is for the decoder to decide.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, masks: Tensor, sides: Sequence[Tensor], target: Tensor) -> Tensor:
        """A scalar tensor.

        masks, target: (B, C, H, W). sides: logits of that shape too, coarsest first.
        """
        if not sides:
            return self.loss(masks, target)
        outputs = (masks, *reversed(sides))
        weights = [0.5**level for level in range(len(outputs))]
        total = sum(weights)
        values = [weight / total * self.loss(output, target) for weight, output in zip(weights, outputs, strict=True)]
        return torch.stack(values).sum()
