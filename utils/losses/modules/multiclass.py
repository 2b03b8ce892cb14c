"""Several classes: a loss of one class applied to each, and the one loss that is better off with all at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneVersusRest(nn.Module):
    """The mean over classes of a loss that knows one class, each class against all others.

    The logit of class c against the rest is z_c - log sum of exp z_j over the others: its sigmoid is the softmax's p_c,
    so that with Dice this is exactly the multi-class Dice loss of segmentation_models_pytorch.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits and target (B, C, H, W) with C > 1 -> a scalar tensor."""
        values = []
        for c in range(logits.shape[1]):
            # Not log p - log(1 - p), which has nothing left to subtract from where the softmax is 1.
            others = torch.cat([logits[:, :c], logits[:, c + 1 :]], dim=1).logsumexp(dim=1, keepdim=True)
            values.append(self.loss(logits[:, c : c + 1] - others, target[:, c : c + 1]))
        return torch.stack(values).mean()


class SoftmaxCrossEntropy(nn.Module):
    """Softmax cross-entropy with targets that may be soft, mean over pixels.

    positive_weight: weight of all classes but the first, the background. smoothing: the share of the truth that the
    other classes get, in equal parts. Two classes with logits 0 and z are the binary cross-entropy of z.
    """

    class_weights: Tensor

    def __init__(self, channels: int, positive_weight: float = 1.0, smoothing: float = 0.0) -> None:
        super().__init__()
        weights = torch.tensor([1.0, *[positive_weight] * (channels - 1)])
        self.register_buffer("class_weights", weights[None, :, None, None])
        self.smoothing = smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits and target (B, C, H, W), the target summing to 1 over C -> a scalar tensor."""
        others = (1 - target) / (logits.shape[1] - 1)
        smoothed = (1 - self.smoothing) * target + self.smoothing * others
        return -(self.class_weights * smoothed * logits.log_softmax(dim=1)).sum(dim=1).mean()
