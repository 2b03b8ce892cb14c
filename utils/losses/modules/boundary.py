"""The boundary loss and the map of distances that it weighs probabilities with."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn


def signed_distances(mask: np.ndarray) -> np.ndarray:
    """Distance of every pixel of a mask (H, W) from its outline, float32, negative inside, as parts of the diagonal.

    The outline runs half way between a pixel of the lesion and its neighbour outside; the diagonal is that of the
    image in pixels. All 0 where the mask is empty or full.
    """
    inside = np.ascontiguousarray(mask, dtype=bool).astype(np.uint8)
    if not inside.any() or inside.all():
        return np.zeros(mask.shape, np.float32)
    to_lesion, to_background = _distances(1 - inside), _distances(inside)
    pixels = np.where(inside, 0.5 - to_background, to_lesion - 0.5)
    return (pixels / np.hypot(*mask.shape)).astype(np.float32)


def _distances(mask: np.ndarray) -> np.ndarray:
    """Distance of every pixel of the mask (H, W) from the nearest pixel outside, float64."""
    found = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Its last bit depends on where in memory the mask lies; the square of a true distance is a whole number.
    return np.sqrt(np.rint(np.square(found, dtype=np.float64)))


class BoundaryLoss(nn.Module):
    """Mean over all pixels of the probability times the signed distance from the target's outline.

    Kervadec et al. 2019, arXiv:1812.07032.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits and target (B, 1, H, W) -> a scalar tensor in (-1, 1)."""
        masks = (target.detach() > 0.5).cpu().numpy()
        distances = np.stack([signed_distances(image) for image in masks.reshape(-1, *masks.shape[-2:])])
        weights = torch.from_numpy(distances).to(logits.device).reshape(logits.shape)
        return (logits.sigmoid() * weights).mean()
