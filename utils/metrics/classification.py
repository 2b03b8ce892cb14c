"""How many of a fold's test cases were given their class: one number per fold, from the confusion matrix.

A class without a case in the fold says nothing about the fold: it takes no part in macro means. A
case wrongly given to such a class still counts, as a miss of its own class.
"""

from __future__ import annotations

import numpy as np

from utils.metrics.metric import FoldPredictions, fold_metric

PRESENT = "classes without a case in the fold are left out of the mean; no cases: NaN"


def weighted_confusion(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    """Weights of cases (R, N) -> confusion matrices (R, C, C): true class in rows, predicted in columns."""
    count = len(fold.classes)
    cells = np.eye(count * count, dtype=weights.dtype)[fold.labels * count + fold.predicted]
    return (weights @ cells).reshape(-1, count, count)


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Element by element in float64; NaN where the denominator is 0."""
    answer = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    return np.divide(numerator, denominator, out=answer, where=denominator > 0, dtype=np.float64)


def mean_over_classes(values: np.ndarray) -> np.ndarray:
    """(R, C) -> (R,), over the classes whose value is not NaN; NaN where there is none."""
    defined = ~np.isnan(values)
    return quotient(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1))


def _accuracies(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    right = weights @ (fold.predicted == fold.labels).astype(weights.dtype)
    return quotient(right, weights.sum(axis=1))


@fold_metric(
    "accuracy",
    empty_case="no cases: NaN",
    reference="share of cases whose most probable class is right",
    weighted=_accuracies,
)
def accuracy(fold: FoldPredictions) -> float:
    """Right cases / cases, in [0, 1]."""
    return float(np.mean(fold.predicted == fold.labels)) if fold.labels.size else float("nan")


def _balanced_accuracies(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    confusion = weighted_confusion(fold, weights)
    return mean_over_classes(quotient(np.einsum("rcc->rc", confusion), confusion.sum(axis=2)))


@fold_metric(
    "balanced_accuracy",
    empty_case=PRESENT,
    reference="Brodersen et al. 2010, ICPR (mean of the classes' sensitivities)",
    weighted=_balanced_accuracies,
)
def balanced_accuracy(fold: FoldPredictions) -> float:
    """Mean over the fold's classes of TP / (TP + FN), in [0, 1]; chance level is 1 / classes."""
    return float(mean_over_classes(quotient(np.diag(fold.confusion), fold.confusion.sum(axis=1))[None])[0])


def _macro_f1s(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    confusion = weighted_confusion(fold, weights)
    hits, cases, given = np.einsum("rcc->rc", confusion), confusion.sum(axis=2), confusion.sum(axis=1)
    return mean_over_classes(np.where(cases > 0, quotient(2 * hits, cases + given), np.nan))


@fold_metric(
    "macro_f1",
    empty_case=PRESENT,
    reference="Opitz and Burst 2019, arXiv:1911.03347 (mean of the classes' F1)",
    weighted=_macro_f1s,
)
def macro_f1(fold: FoldPredictions) -> float:
    """Mean over the fold's classes of 2 TP / (2 TP + FP + FN), in [0, 1]."""
    hits, cases, given = np.diag(fold.confusion), fold.confusion.sum(axis=1), fold.confusion.sum(axis=0)
    present = cases > 0
    if not present.any():
        return float("nan")
    return float(np.mean(2 * hits[present] / (cases + given)[present]))
