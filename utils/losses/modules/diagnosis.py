"""Losses of a diagnosis: logits (B, C) and labels (B,)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class SoftmaxFocalLoss(nn.Module):
    """Cross-entropy of each case times (1 - p of the true class) ** gamma, averaged by class weight.

    With gamma = 0 it is ``nn.CrossEntropyLoss(weight)`` exactly, whose mean is weighted in the same way.
    """

    class_weights: Tensor | None

    def __init__(self, gamma: float, class_weights: Tensor | None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, C), labels (B,) in [0, C) -> a scalar."""
        log_p = functional.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
        losses = -log_p * (1 - log_p.exp()) ** self.gamma
        if self.class_weights is None:
            return losses.mean()
        weights = self.class_weights[labels]
        return (weights * losses).sum() / weights.sum()


class LogitAdjustedLoss(nn.Module):
    """Cross-entropy of logits + tau * log prior of each class, averaged by class weight.

    class_counts: cases of each class in the training part; a class without any is counted as one case.
    Menon et al. 2021, arXiv:2007.07314.
    """

    adjustment: Tensor
    class_weights: Tensor | None

    def __init__(self, tau: float, class_counts: Sequence[int], class_weights: Tensor | None) -> None:
        super().__init__()
        counts = torch.as_tensor(list(class_counts), dtype=torch.float64).clamp(min=1)
        self.register_buffer("adjustment", (tau * (counts / counts.sum()).log()).float())
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, C), labels (B,) in [0, C) -> a scalar."""
        return functional.cross_entropy(logits + self.adjustment, labels, weight=self.class_weights)
