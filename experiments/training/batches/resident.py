"""A cache in the memory of the device: nothing has to be loaded any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from experiments.training.batches.batch import Pixels, channels_first
from utils.images.cache import ImageCache

RESIDENT_SHARE = 0.1
"""The share of a device's free memory that images and masks may take. 780 images at 256 pixels are 102 MB with their
masks; what does not fit is loaded batch by batch."""

_AT_ONCE = 256


class Resident:
    """All images and masks of a cache as they are stored, uint8, on a device, and the labels beside them."""

    def __init__(self, cache: ImageCache, device: torch.device) -> None:
        self.device = device
        self._images, self._masks = _copied(cache.images, device), _copied(cache.masks, device)
        self._labels = torch.from_numpy(np.array(cache.labels)).to(device)

    @classmethod
    def where_it_fits(cls, cache: ImageCache, device: torch.device) -> Self | None:
        """The cache on a GPU with memory to spare; None elsewhere: the CPU reads the cache where it lies."""
        if device.type != "cuda":
            return None
        free, _ = torch.cuda.mem_get_info(device)
        return cls(cache, device) if cache.images.nbytes + cache.masks.nbytes <= RESIDENT_SHARE * free else None

    def pixels(self, positions: Sequence[int]) -> Pixels:
        """The cases at these positions of the cache, gathered on the device; the host waits for nothing."""
        cases = torch.tensor(positions, dtype=torch.int64)
        index = to_device(cases, self.device)
        masks = self._masks.index_select(0, index).unsqueeze(1)
        images = channels_first(self._images.index_select(0, index))
        return Pixels(images, masks, self._labels.index_select(0, index), cases)


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A small tensor of the host's on the device. From pageable memory CUDA would have the host wait for the copy."""
    return (values.pin_memory() if device.type == "cuda" else values).to(device, non_blocking=True)


def _copied(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The array on the device, piece by piece: a map of a large file is never in the host's memory as a whole."""
    copy = torch.empty(array.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(array), _AT_ONCE):
        copy[start : start + _AT_ONCE] = torch.from_numpy(np.array(array[start : start + _AT_ONCE])).to(device)
    return copy
