"""Grey-level co-occurrence in a window around every pixel, without a matrix for any of them.

Haralick's statistics of a window are sums over its pixel pairs, so that box filters give those of all windows at
once. Pairs and statistics are those of scikit-image's ``graycomatrix(..., symmetric=True, normed=True)`` and
``graycoprops``, which look at one window at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import cv2
import numpy as np

Texture = Literal["contrast", "homogeneity", "energy", "correlation"]


def texture_maps(
    grey: np.ndarray, textures: Sequence[Texture], window: int, levels: int, distance: int
) -> dict[Texture, np.ndarray]:
    """Texture of the window around every pixel: name -> float64 (height, width).

    grey: uint8, (height, width). window: odd, the side of the window in pixels; beyond the border the image is
    mirrored. levels: grey values are counted in so many equal bins. distance: pixels between those of a pair, less
    than the window. Statistics are means over pairs along 0, 45, 90 and 135 degrees, as Haralick et al. (Textural
    features for image classification, IEEE Trans. Syst. Man Cybern. 3(6), 1973) propose.

    contrast: mean squared difference of a pair's bins, in [0, (levels - 1)^2]. homogeneity: mean of 1 / (1 + squared
    difference), in (0, 1]. energy: root of the sum of squared shares of the pairs, in (0, 1]. correlation: of a
    pair's bins, in [-1, 1]; 1 in a flat window.
    """
    bins = (grey.astype(np.int32) * levels) // 256
    padded = np.pad(bins, window // 2, mode="symmetric")
    maps = {name: np.zeros(grey.shape) for name in textures}
    for rows, columns in _offsets(distance):
        first, second = _pairs(padded, rows, columns)
        box = _Box((window - abs(rows), window - abs(columns)), grey.shape)
        for name, total in maps.items():
            total += _STATISTICS[name](first, second, box) / 4
    return maps


def _offsets(distance: int) -> Iterator[tuple[int, int]]:
    """Rows and columns from the first to the second of a pair, rounded as scikit-image rounds them."""
    for angle in (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4):
        yield round(np.sin(angle) * distance), round(np.cos(angle) * distance)


def _pairs(bins: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second bin of every pair; rows >= 0."""
    height, width = bins.shape
    left, right = max(0, -columns), max(0, columns)
    return bins[: height - rows, left : width - right], bins[rows:, right : width - left]


class _Box:
    """Sums over the pairs of every window. pairs: their number in a window."""

    def __init__(self, size: tuple[int, int], shape: tuple[int, ...]) -> None:
        self.pairs = size[0] * size[1]
        self._size, self._shape = size, shape

    def zeros(self) -> np.ndarray:
        """A number for each window: float64 (height, width)."""
        return np.zeros(self._shape)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """values: int32, one for each pair. float64 (height, width); exact, since integers are."""
        return self._filtered(values.astype(np.float64), cv2.CV_64F)

    def count(self, chosen: np.ndarray) -> np.ndarray:
        """How many pairs of each window are chosen. chosen: boolean. float64 (height, width)."""
        return self._filtered(chosen.view(np.uint8), cv2.CV_32S).astype(np.float64)

    def _filtered(self, values: np.ndarray, depth: int) -> np.ndarray:
        height, width = self._shape
        rows, columns = self._size
        # With its anchor at a corner a box looks ahead: what it finds beyond the border falls outside the cut.
        return cv2.boxFilter(values, depth, (columns, rows), anchor=(0, 0), normalize=False)[:height, :width]


def _contrast(first: np.ndarray, second: np.ndarray, box: _Box) -> np.ndarray:
    return box.sum(np.square(first - second)) / box.pairs


def _homogeneity(first: np.ndarray, second: np.ndarray, box: _Box) -> np.ndarray:
    apart = np.abs(first - second)
    total = box.zeros()
    # Counted difference by difference: sums of fractions would hang on the order in which a library adds them.
    for step in np.unique(apart):
        total += box.count(apart == step) / (1 + int(step) ** 2)
    return total / box.pairs


def _energy(first: np.ndarray, second: np.ndarray, box: _Box) -> np.ndarray:
    low, high = np.minimum(first, second), np.maximum(first, second)
    kinds = low * 256 + high
    total = box.zeros()
    # Only those that occur: neighbours seldom differ by much.
    for kind in np.unique(kinds):
        squared = np.square(box.count(kinds == kind))
        # A symmetric matrix holds half of the pairs of unequal bins in each of two cells.
        total += squared if kind // 256 == kind % 256 else squared / 2
    return np.sqrt(total) / box.pairs


def _correlation(first: np.ndarray, second: np.ndarray, box: _Box) -> np.ndarray:
    total = box.sum(first + second)
    # Both times 4 pairs^2, which keeps them integers: a flat window has a variance of 0 and not nearly so.
    variance = 2 * box.pairs * box.sum(np.square(first) + np.square(second)) - np.square(total)
    covariance = 4 * box.pairs * box.sum(first * second) - np.square(total)
    return np.divide(covariance, variance, out=np.ones_like(variance), where=variance > 0)


_STATISTICS: Mapping[Texture, Callable[[np.ndarray, np.ndarray, _Box], np.ndarray]] = {
    "contrast": _contrast,
    "homogeneity": _homogeneity,
    "energy": _energy,
    "correlation": _correlation,
}
