"""Drawing a share of the cases: stratified by label, whole groups only, the same on every machine.

Covers sklearn's StratifiedGroupKFold, its greedy draw repeated where it leaves a class out of a part,
and shares that are no whole fraction, such as 0.15.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np

from utils.identity import derive_seed

# The greedy draw is unlucky now and then when a class has hardly more groups than there are folds.
_ATTEMPTS = 20
_MOST_FOLDS = 100


def draw_folds(labels: np.ndarray, groups: np.ndarray, k: int, seed: int) -> np.ndarray:
    """The fold of each case, int (cases,) in [0, k); every class in every fold where a draw can be found.

    labels, groups: (cases,), in an order that does not depend on where the data came from.
    Raises ValueError if no class has k cases.
    """
    best: tuple[int, np.ndarray] | None = None
    for attempt in range(_ATTEMPTS):
        folds = _draw(labels, groups, k, derive_seed(seed, "folds", k, attempt))
        gaps = sum(len(np.unique(labels)) - len(np.unique(labels[folds == fold])) for fold in range(k))
        if best is None or gaps < best[0]:
            best = gaps, folds
        if gaps == 0:
            break
    assert best is not None
    return best[1]


def draw_share(labels: np.ndarray, groups: np.ndarray, share: float, seed: int) -> np.ndarray | None:
    """Which cases make up about `share` of all, bool (cases,); None if every draw takes all cases or none.

    The cases are drawn into q folds, and p neighbouring ones of them are taken: those that leave every class
    on both sides, if there are any, and come nearest to the share, as a whole and within each class.
    """
    parts, folds = _as_fraction(share, _most_groups_of_a_class(labels, groups))
    if folds < 2:
        return None
    drawn = _draw(labels, groups, folds, derive_seed(seed, "share", folds))
    best: tuple[tuple[float, ...], np.ndarray] | None = None
    for first in range(folds):
        taken = (drawn - first) % folds < parts
        if taken.all() or not taken.any():
            continue
        quality = _quality(labels, taken, share)
        if best is None or quality < best[0]:
            best = quality, taken
    return None if best is None else best[1]


def groups_per_class(labels: np.ndarray, groups: np.ndarray) -> dict[str, int]:
    """In how many groups each label occurs, sorted by label."""
    return {str(label): len(np.unique(groups[labels == label])) for label in np.unique(labels)}


def _draw(labels: np.ndarray, groups: np.ndarray, k: int, seed: int) -> np.ndarray:
    # A second of imports, which a worker, who only reads what was drawn, does not need.
    from sklearn.model_selection import StratifiedGroupKFold

    # sklearn takes 32 bits.
    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed % 2**32)
    folds = np.empty(len(labels), dtype=np.int64)
    with warnings.catch_warnings():
        # Classes with fewer cases than folds are reported by the caller, in the user's words.
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, test) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
            folds[test] = fold
    return folds


def _as_fraction(share: float, most: int) -> tuple[int, int]:
    """(p, q) with p/q within 0.01 and 5 % of `share` and q small, so that each of the q folds is well stratified.

    q is at most `most`, or sklearn refuses; where that is too few, the nearest fraction there is.
    """
    candidates = [(max(1, min(q - 1, round(share * q))), q) for q in range(2, min(most, _MOST_FOLDS) + 1)]
    for p, q in candidates:
        if abs(p / q - share) <= min(0.01, 0.05 * share):
            return p, q
    return min(candidates, key=lambda each: abs(each[0] / each[1] - share), default=(1, 1))


def _most_groups_of_a_class(labels: np.ndarray, groups: np.ndarray) -> int:
    return max(groups_per_class(labels, groups).values(), default=0)


def _quality(labels: np.ndarray, taken: np.ndarray, share: float) -> tuple[float, ...]:
    """How bad a part is: classes missing from what is left, classes missing from it, distance from the share."""
    within = [float(taken[labels == label].mean()) for label in np.unique(labels)]
    distance = abs(float(taken.mean()) - share) + max(abs(each - share) for each in within)
    # Rounded, so that equal candidates are equal on every machine and the first one wins.
    return _count(each == 1 for each in within), _count(each == 0 for each in within), round(distance, 9)


def _count(conditions: Iterable[bool]) -> float:
    return float(sum(conditions))
