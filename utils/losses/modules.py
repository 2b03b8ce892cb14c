"""The torch modules behind the registries; imported only when a loss is built."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


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


class WeightedSum(nn.Module):
    """The weighted sum of losses of the same prediction and target."""

    def __init__(self, terms: tuple[tuple[float, nn.Module], ...]) -> None:
        super().__init__()
        self.weights = tuple(weight for weight, _ in terms)
        self.losses = nn.ModuleList(loss for _, loss in terms)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar tensor."""
        values = [weight * loss(prediction, target) for weight, loss in zip(self.weights, self.losses, strict=True)]
        return torch.stack(values).sum()


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
