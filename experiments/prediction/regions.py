"""The lesions of a probability map: what is above the threshold and not too small."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Regions:
    """mask: boolean (height, width). areas: pixels of each connected component, largest first."""

    mask: np.ndarray
    areas: tuple[int, ...]

    @property
    def pixels(self) -> int:
        """Of all components together."""
        return sum(self.areas)


def regions(probability: np.ndarray, threshold: float, min_area: int = 0) -> Regions:
    """The pixels whose probability is above `threshold`, without components of fewer than `min_area` pixels.

    probability: (height, width). Pixels that touch at a corner are connected, as in the metrics of instances.
    """
    drawn = (probability > threshold).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(drawn, connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA]
    kept = areas >= min_area
    kept[0] = False  # the background
    return Regions(kept[labels], tuple(sorted(areas[kept].tolist(), reverse=True)))


def uncertainty(disagreement: np.ndarray, mask: np.ndarray) -> float:
    """Mean disagreement of the members over the lesion and what they might have drawn as well.

    disagreement: (height, width) standard deviations. mask: boolean (height, width). The mean is taken over the mask
    and the pixels on which the members differ by more than 0.1; 0 where there is no such pixel.
    """
    seen = mask | (disagreement > _DIFFERENT)
    return float(disagreement[seen].mean(dtype=np.float64)) if seen.any() else 0.0


_DIFFERENT = 0.1
