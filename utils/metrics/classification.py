"""How well a fold's test cases were diagnosed: one number per fold.

A class without a case in the fold says nothing about the fold: it takes no part in macro means. A
case wrongly given to such a class still counts, as a miss of its own class.
"""

from __future__ import annotations

import numpy as np

from utils.metrics.metric import FoldPredictions, fold_metric


@fold_metric("accuracy", empty_case="no cases: NaN", reference="share of cases whose most probable class is right")
def accuracy(fold: FoldPredictions) -> float:
    """Right cases / cases, in [0, 1]."""
    return float(np.mean(fold.predicted == fold.labels)) if fold.labels.size else float("nan")


@fold_metric(
    "macro_f1",
    empty_case="classes without a case in the fold are left out of the mean; no cases: NaN",
    reference="Opitz and Burst 2019, arXiv:1911.03347 (mean of the classes' F1)",
)
def macro_f1(fold: FoldPredictions) -> float:
    """Mean over the fold's classes of 2 TP / (2 TP + FP + FN), in [0, 1]."""
    hits, cases, given = np.diag(fold.confusion), fold.confusion.sum(axis=1), fold.confusion.sum(axis=0)
    present = cases > 0
    if not present.any():
        return float("nan")
    return float(np.mean(2 * hits[present] / (cases + given)[present]))


@fold_metric(
    "auroc",
    empty_case="classes with no case, or with nothing but cases, are left out of the mean; none left: NaN",
    reference="Hanley and McNeil 1982, Radiology 143(1); one-vs-rest, unweighted mean over classes",
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
