"""Distances between the borders of two masks: what all boundary metrics are made of.

The border of a mask is those of its pixels that have one of their four neighbours outside the mask
or the image, as MONAI takes it; distances run from pixel centre to pixel centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)

PAIRS_PER_PIXEL = 32
"""Up to here all pairs of border pixels are compared sooner than two distance transforms are made."""

MOST_PAIRS = 2**22
"""Up to here their squared distances take 16 MiB at most."""

EXACT_SIDE = 2048
"""Up to this side the squares of all distances, and what they are summed from, are below 2^24."""


@dataclass(frozen=True)
class SurfaceDistances:
    """The distance of each border pixel of one mask to the nearest border pixel of the other, ascending.

    of_prediction: (P,), of_reference: (Q,), in pixels, or in mm where the spacing is known.
    """

    of_prediction: np.ndarray
    of_reference: np.ndarray

    def percentile(self, percent: float) -> float:
        """The larger of the two directed percentiles, linear between neighbouring values."""
        return max(_percentile(self.of_prediction, percent), _percentile(self.of_reference, percent))

    def mean(self) -> float:
        """The mean over the border pixels of both masks."""
        return float((self.of_prediction.sum() + self.of_reference.sum()) / self._pixels)

    def share_within(self, tolerance: float) -> float:
        """The share of the border pixels of both masks that are at most `tolerance` away."""
        # 3 pixels of 0.1 mm are 0.30000000000000004 mm, and within 0.3 mm.
        bound = tolerance * (1 + 1e-9)
        near = sum(int(of.searchsorted(bound, side="right")) for of in (self.of_prediction, self.of_reference))
        return near / self._pixels

    @property
    def _pixels(self) -> int:
        return self.of_prediction.size + self.of_reference.size


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] | None = None
) -> SurfaceDistances:
    """Of two 0/1 masks, uint8 (height, width), neither of them empty.

    spacing: height and width of a pixel; 1 without it. What lies around both masks may be cut off.
    """
    drawn, true = border(prediction), border(reference)
    down, right = spacing or (1.0, 1.0)
    if down != right:
        found = _measured(drawn, true, (down, right)), _measured(true, drawn, (down, right))
        return SurfaceDistances(*map(np.sort, found))
    drawn_points, true_points = (cv2.findNonZero(each).reshape(-1, 2) for each in (drawn, true))
    few = len(drawn_points) * len(true_points) <= min(PAIRS_PER_PIXEL * drawn.size, MOST_PAIRS)
    if few and max(drawn.shape) <= EXACT_SIDE:
        squares = _compared(drawn_points, true_points)
    else:
        squares = _transformed(drawn, true), _transformed(true, drawn)
    return SurfaceDistances(*(np.sqrt(np.sort(each), dtype=np.float64) * down for each in squares))


def border(mask: np.ndarray) -> np.ndarray:
    """The border pixels of a 0/1 mask, uint8 (height, width), as one of the same kind."""
    return mask - cv2.erode(mask, CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def _compared(points: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the distances to the nearest of the other points, both ways, from all pairs of points.

    |a - b|^2 = |a|^2 - 2ab + |b|^2 is one matrix product, and exact: whole numbers below 2^24 are in float32.
    """
    left = np.empty((len(points), 4), dtype=np.float32)
    left[:, :2] = points
    left[:, 2] = np.square(left[:, :2]).sum(axis=1)
    left[:, 3] = 1
    right = np.empty((len(others), 4), dtype=np.float32)
    right[:, 3] = np.square(others).sum(axis=1)
    right[:, :2] = -2 * others
    right[:, 2] = 1
    squares = left @ right.T
    return squares.min(axis=1), squares.min(axis=0)


def _transformed(pixels: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Squares of the distances from each of the pixels to the nearest target, by a distance transform."""
    far = cv2.distanceTransform(1 - targets, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[pixels.view(bool)]
    # The last bit of OpenCV's float32 depends on how the array lies in memory; squares are whole numbers.
    return np.rint(np.square(far, dtype=np.float64))


def _measured(pixels: np.ndarray, targets: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Distances from each of the pixels to the nearest target where pixels are no squares."""
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(1 - targets, sampling=spacing)[pixels.view(bool)]


def _percentile(ascending: np.ndarray, percent: float) -> float:
    """numpy.percentile of values that are sorted already, a tenth of its time."""
    place = (ascending.size - 1) * percent / 100
    below = int(place)
    above = min(below + 1, ascending.size - 1)
    return float(ascending[below] + (ascending[above] - ascending[below]) * (place - below))
