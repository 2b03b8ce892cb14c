"""Instances of two masks and how they overlap: what all instance metrics are made of.

A model that draws foreground has no instances of its own: they are the connected components of its
mask, pixels that touch at a corner being connected. So are the true ones, unless they are labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np


@dataclass(frozen=True)
class InstanceOverlaps:
    """P drawn and R true instances, and the K pairs of them that share pixels.

    predicted_areas: (P,) pixels. referenced_areas: (R,) pixels.
    predicted, referenced: (K,) which instances a pair is made of, numbers from 0.
    shared: (K,) pixels that the two have in common, at least 1.
    """

    predicted_areas: np.ndarray
    referenced_areas: np.ndarray
    predicted: np.ndarray
    referenced: np.ndarray
    shared: np.ndarray

    @cached_property
    def united(self) -> np.ndarray:
        """(K,) pixels of either of a pair."""
        return self.predicted_areas[self.predicted] + self.referenced_areas[self.referenced] - self.shared

    @cached_property
    def iou(self) -> np.ndarray:
        """(K,) in (0, 1]."""
        return self.shared / self.united

    @cached_property
    def matched(self) -> np.ndarray:
        """(K,) whether a pair's IoU is over one half, which no instance can have with two others."""
        return 2 * self.shared > self.united


def instance_overlaps(prediction: np.ndarray, reference: np.ndarray, *, labelled: bool) -> InstanceOverlaps:
    """Of a 0/1 mask, uint8 (height, width), and either another or, `labelled`, one of instance numbers."""
    drawn_count, drawn = cv2.connectedComponents(prediction, connectivity=8)
    if labelled:
        true_count, true = _renumbered(reference)
    else:
        true_count, true = cv2.connectedComponents(reference, connectivity=8)
    table = np.bincount((drawn * true_count + true).ravel(), minlength=drawn_count * true_count)
    table = table.reshape(drawn_count, true_count)
    predicted, referenced = np.nonzero(table[1:, 1:])
    shared = table[1:, 1:][predicted, referenced]
    return InstanceOverlaps(table[1:].sum(axis=1), table[:, 1:].sum(axis=0), predicted, referenced, shared)


def _renumbered(instances: np.ndarray) -> tuple[int, np.ndarray]:
    """Any numbers with background 0 as 0 ... R, and R + 1."""
    numbers = np.union1d(0, instances)
    return numbers.size, np.searchsorted(numbers, instances)
