"""From a batch to what the network says about each of its cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from experiments.training.batches import Batch
from models.network import Network, foreground_of
from utils.images.cache import ImageCache


class NotFiniteError(ArithmeticError):
    """A network answered NaN or infinity: its weights have diverged, and its scores would mean nothing."""


@dataclass(frozen=True)
class Answer:
    """What a network said about one case.

    position: of the case in the cache. map: probability of lesion, float32 (H, W) in [0, 1], at the network's size.
    classes: probabilities (C,), float64; empty without a classification head.
    """

    position: int
    map: np.ndarray
    classes: np.ndarray

    def at(self, size: tuple[int, int]) -> np.ndarray:
        """The map at another (height, width), float32, interpolated between the pixels of the network's size."""
        height, width = size
        return cv2.resize(self.map, (width, height), interpolation=cv2.INTER_LINEAR)


@torch.no_grad()
def answers(network: Network, batch: Batch, cache: ImageCache) -> Iterator[Answer]:
    """The network's answer to each case of a batch, in the batch's order. The network must be in eval mode.

    Raises NotFiniteError for a network that has diverged; thresholded, its NaN would pass for an empty mask.
    """
    output = network(batch.images)
    maps = foreground_of(output.masks.float()).sigmoid()[:, 0].cpu().numpy()
    labels = None if output.labels is None else output.labels.float().softmax(dim=1).cpu().numpy()
    for row, position in enumerate(batch.cases.tolist()):
        classes = np.empty(0) if labels is None else labels[row].astype(np.float64)
        if not np.isfinite(maps[row]).all() or not np.isfinite(classes).all():
            raise NotFiniteError(f"the network's answer to {cache.ids[position]!r} is not finite")
        yield Answer(position, maps[row], classes)
