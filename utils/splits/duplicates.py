"""Which images are copies of one another, to the pixel or nearly.

Near-copies (the next frame of the same clip, a re-export with other calipers) correlate above 0.95 as
32x32 grey thumbnails. Flipped, rotated or strongly cropped copies are not found.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

THRESHOLD = 0.95
"""Images whose thumbnails correlate above this are near-duplicates."""

_SIDE = 32
# Sums of 1,024 float32 products are good to about 1e-6. Pairs this near the threshold are decided in
# float64, so that the groups do not depend on the order in which a machine's BLAS happens to add.
_DOUBT = 1e-5
# Decided so many at a time: each pair takes 16 KB while it is looked at.
_PAIRS = 2048


def thumbnail(image: np.ndarray) -> np.ndarray:
    """A picture's fingerprint: float32 (1024,), 32x32 grey means, zero mean, unit norm.

    image: uint8, (height, width) or (height, width, 3). The dot product of two thumbnails is their
    Pearson correlation. A picture without contrast has none: its thumbnail is all zeros, like nothing.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    small -= small.mean()
    norm = np.linalg.norm(small)
    # Grey levels are whole numbers: any contrast at all gives a norm near 1 or more.
    return (small / norm if norm > 1e-6 else np.zeros_like(small)).astype(np.float32)


def pixel_digest(image: np.ndarray) -> str:
    """SHA-256 of a decoded image's shape and pixels; RGB with three equal channels counts as grey.

    Two files with this digest in common show the same image, however they were compressed.
    """
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = image[..., 0]
    header = f"{image.dtype.str} {image.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(image).tobytes()).hexdigest()


def near_duplicate_sets(
    thumbnails: np.ndarray, threshold: float = THRESHOLD, block: int = 2048
) -> list[tuple[int, ...]]:
    """Sets of two or more near-duplicates: connected components over pairs above `threshold`.

    thumbnails: float32 (images, 1024), rows of zero mean and unit norm (`thumbnail`).
    Returns ascending row numbers, sets ordered by their first. Compared in blocks of `block` rows and merged
    as they come, so memory grows with the number of images and not with the number of pairs.
    """
    count = len(thumbnails)
    labels = np.arange(count)
    for top in range(0, count, block):
        for left in range(top, count, block):
            rows, columns = _similar(thumbnails[top : top + block], thumbnails[left : left + block], threshold)
            labels = _merge(labels, rows + top, columns + left)
    return sets_of(labels.tolist())


def sets_of(keys: Sequence[Hashable]) -> list[tuple[int, ...]]:
    """Positions that share a key, for every key that occurs twice or more, ordered by first position."""
    positions: defaultdict[Hashable, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        positions[key].append(position)
    return [tuple(members) for members in positions.values() if len(members) > 1]


def components(count: int, sets: Iterable[Sequence[int]]) -> list[int]:
    """A component number for each of `count` things, given sets of things that belong together."""
    first: list[int] = []
    second: list[int] = []
    for members in sets:
        first += [members[0]] * (len(members) - 1)
        second += members[1:]
    return _merge(np.arange(count), np.array(first, dtype=np.intp), np.array(second, dtype=np.intp)).tolist()


def _similar(top: np.ndarray, left: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers in `top` and in `left` of the pairs whose correlation exceeds `threshold`."""
    correlation = top @ left.T
    doubtful = np.nonzero(np.abs(correlation - threshold) <= _DOUBT)
    similar = correlation > threshold
    for start in range(0, len(doubtful[0]), _PAIRS):
        rows, columns = (indices[start : start + _PAIRS] for indices in doubtful)
        exact = np.einsum("ij,ij->i", top[rows], left[columns], dtype=np.float64)
        similar[rows, columns] = exact > threshold
    found = np.nonzero(similar)
    return found[0], found[1]


def _merge(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Component labels after joining the pairs (first[i], second[i]) to the components in `labels`."""
    if len(first) == 0:
        return labels
    size = len(labels)
    edges = coo_matrix((np.ones(len(first), dtype=np.int8), (labels[first], labels[second])), shape=(size, size))
    return connected_components(edges, directed=False)[1][labels]
