"""How well probabilities tell a class from the others at any threshold: one number per fold.

Each class is held against the rest in turn, and the classes' numbers are averaged unweighted. Cases
of equal probability are never told apart: whichever order they come in, the number is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from utils.metrics.classification import PRESENT, mean_over_classes, quotient
from utils.metrics.metric import FoldPredictions, Weighted, fold_metric

BOTH_SIDES = "classes with no case, or with nothing but cases, are left out of the mean; none left: NaN"
ROWS_AT_ONCE = 500


def in_parts(weighted: Weighted) -> Weighted:
    """Decorator: some hundred rows of weights after another, which stay in the processor's cache."""

    @wraps(weighted)
    def answer(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
        starts = range(0, len(weights), ROWS_AT_ONCE)
        parts = [weighted(fold, weights[start : start + ROWS_AT_ONCE]) for start in starts]
        return np.concatenate(parts) if parts else np.empty(0)

    return answer


def _over_classes(
    one_class: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], fold: FoldPredictions, weights: np.ndarray
) -> np.ndarray:
    """The mean over classes of (members (N,), probabilities (N,), weights (R, N)) -> (R,)."""
    columns = range(len(fold.classes))
    each = [one_class(fold.labels == column, fold.probabilities[:, column], weights) for column in columns]
    return mean_over_classes(np.stack(each, axis=1))


def _unweighted(weighted: Weighted, fold: FoldPredictions) -> float:
    """A weighted metric with each case once."""
    return float(weighted(fold, np.ones((1, fold.labels.size)))[0])


@in_parts
def _areas(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    """Pairs of a member and a non-member of the class count by the product of their weights."""

    def area(members: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        inside, outside = weights[:, members], weights[:, ~members]
        mine, others = scores[members, None], scores[~members]
        wins = ((mine > others) + 0.5 * (mine == others)).astype(weights.dtype)
        won = np.einsum("rn,rn->r", inside @ wins, outside)
        return quotient(won, inside.sum(axis=1) * outside.sum(axis=1))

    return _over_classes(area, fold, weights)


@fold_metric(
    "auroc",
    empty_case=BOTH_SIDES,
    reference="Hanley and McNeil 1982, Radiology 143(1); one-vs-rest, unweighted mean over classes",
    weighted=_areas,
)
def auroc(fold: FoldPredictions) -> float:
    """Mean over classes of the chance that a case of the class is given a higher probability of it
    than a case of another class (a tie counts one half), in [0, 1].
    """
    areas = []
    for column in range(len(fold.classes)):
        members = fold.labels == column
        inside, outside = int(members.sum()), int((~members).sum())
        if inside and outside:
            rank_sum = average_ranks(fold.probabilities[:, column])[members].sum()
            areas.append((rank_sum - inside * (inside + 1) / 2) / (inside * outside))
    return float(np.mean(areas)) if areas else float("nan")


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, (N,), equal values sharing the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[place]


def _above_members(members: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the members and of the others at or above each of T falling thresholds, (R, T) each.

    The thresholds are the scores of members, each once: only there does more of the class come in.
    """
    thresholds = np.unique(scores[members])[::-1]

    def above(chosen: np.ndarray) -> np.ndarray:
        return weights[:, chosen] @ (scores[chosen, None] >= thresholds).astype(weights.dtype)

    return above(members), above(~members)


@in_parts
def _average_precisions(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    def average_precision(members: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        inside, outside = _above_members(members, scores, weights)
        # A threshold that adds no case adds no recall either, so that its precision does not matter.
        precision = np.divide(inside, inside + outside, out=np.zeros(inside.shape), where=inside > 0, dtype=np.float64)
        gained = np.diff(inside, axis=1, prepend=0.0)
        return quotient(np.einsum("rt,rt->r", precision, gained), weights[:, members].sum(axis=1))

    return _over_classes(average_precision, fold, weights)


@fold_metric(
    "auprc",
    empty_case=PRESENT,
    reference="Davis and Goadrich 2006, ICML; average precision without interpolation, one-vs-rest, mean over classes",
    weighted=_average_precisions,
)
def auprc(fold: FoldPredictions) -> float:
    """Mean over classes of the mean precision at which the class's cases are found, in [0, 1].

    The sum over thresholds of precision times the gain in sensitivity, as in scikit-learn. Chance
    level is the class's share of the cases.
    """
    return _unweighted(_average_precisions, fold)


@in_parts
def _sensitivities_at_95_specificity(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    def sensitivity(members: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        inside, outside = _above_members(members, scores, weights)
        others = weights[:, ~members].sum(axis=1)
        # Whole numbers decide, where 1 - 0.05 would be rounded: at most one in twenty outside the class.
        allowed = 20 * outside <= others[:, None]
        found = np.max(inside * allowed, axis=1, initial=0.0)
        return np.where(others > 0, quotient(found, weights[:, members].sum(axis=1)), np.nan)

    return _over_classes(sensitivity, fold, weights)


@fold_metric(
    "sensitivity_at_95_specificity",
    empty_case=BOTH_SIDES,
    reference="Pepe 2003, The Statistical Evaluation of Medical Tests, ch. 4 (a point of the ROC curve); one-vs-rest",
    weighted=_sensitivities_at_95_specificity,
)
def sensitivity_at_95_specificity(fold: FoldPredictions) -> float:
    """Mean over classes of the highest sensitivity at a threshold with a specificity of at least 0.95, in [0, 1]."""
    return _unweighted(_sensitivities_at_95_specificity, fold)
