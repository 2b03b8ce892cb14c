"""What a step of training or evaluation is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

Sample = tuple[np.ndarray, np.ndarray, int, int]
"""Image, mask, label and position in the cache of one case."""


class Batch(NamedTuple):
    """Inputs and targets of one step, on the device.

    images: float32 (B, 1 or 3, H, W) in [0, 1]. masks: float32 (B, 1, H, W) of 0 and 1.
    labels: int64 (B,). cases: int64 (B,), positions in the cache, always in the host's memory.
    """

    images: torch.Tensor
    masks: torch.Tensor
    labels: torch.Tensor
    cases: torch.Tensor


class Pixels(NamedTuple):
    """A batch as it is stored: images and masks uint8, a quarter of the traffic; otherwise as `Batch`."""

    images: torch.Tensor
    masks: torch.Tensor
    labels: torch.Tensor
    cases: torch.Tensor

    def to_batch(self, device: torch.device) -> Batch:
        """The batch on the device, where its pixels become float; the host waits for nothing."""
        return Batch(
            self.images.to(device, non_blocking=True).float().div_(255),
            self.masks.to(device, non_blocking=True).float(),
            self.labels.to(device, non_blocking=True),
            self.cases,
        )


def channels_first(images: torch.Tensor) -> torch.Tensor:
    """Images as the cache has them, (B, H, W) or (B, H, W, 3), as (B, 1 or 3, H, W); nothing is copied."""
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)


def collate(samples: Sequence[Sample]) -> Pixels:
    """The samples as one batch."""
    images, masks, labels, cases = zip(*samples, strict=True)
    return Pixels(
        channels_first(torch.from_numpy(np.stack(images))),
        torch.from_numpy(np.stack(masks)).unsqueeze(1),
        torch.tensor(labels),
        torch.tensor(cases),
    )
