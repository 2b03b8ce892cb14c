"""What the region losses of segmentation_models_pytorch lack for the use here."""

from __future__ import annotations

from segmentation_models_pytorch.losses import BINARY_MODE, MCCLoss, TverskyLoss
from torch import Tensor


class FocalTverskyLoss(TverskyLoss):
    """The Tversky loss of one class to the power of gamma, with a gradient that stays finite.

    With gamma < 1 the slope of x ** gamma is infinite at 0, where a batch without lesions is (its gradient would be
    infinity times 0), and x itself can come out as a rounding below 0. Up to `eps` it is therefore flat.
    """

    def __init__(self, alpha: float, beta: float, gamma: float, smooth: float = 0.0) -> None:
        super().__init__(BINARY_MODE, from_logits=True, smooth=smooth, alpha=alpha, beta=beta, gamma=gamma)

    def aggregate_loss(self, loss: Tensor) -> Tensor:
        """Loss (1,) -> a scalar tensor."""
        return loss.mean().clamp_min(self.eps) ** self.gamma


class MatthewsLoss(MCCLoss):
    """The MCC loss, of logits rather than of probabilities."""

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Logits and target (B, 1, H, W) -> a scalar tensor."""
        return super().forward(y_pred.sigmoid(), y_true)
