"""What the numbers of a diagnosis are read off: ROC and precision-recall curves, and reliability.

Curves are scikit-learn's, of one class against the rest; a class that a fold has no case of, or
nothing but cases, has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sklearn

from utils.metrics.calibration import BINS, confidence_bins
from utils.metrics.classification import quotient
from utils.metrics.metric import FoldPredictions


@dataclass(frozen=True)
class Curve:
    """One class against the rest at every threshold, (T,) each, x rising.

    thresholds: a case is given the class if its probability reaches the threshold; infinite where
    no case is. area: the number that is quoted with the curve, in [0, 1].
    """

    x: np.ndarray
    y: np.ndarray
    thresholds: np.ndarray
    area: float


@dataclass(frozen=True)
class Reliability:
    """How often the cases of each confidence are right.

    edges: (bins + 1,) of the bins, in [0, 1]. counts: (bins,) cases. confidence, accuracy: (bins,)
    means of the bin's cases, NaN where there are none.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def has_curve(fold: FoldPredictions, column: int) -> bool:
    """Whether the fold has cases of the class and others too."""
    return bool(0 < np.count_nonzero(fold.labels == column) < fold.labels.size)


def roc_curve(fold: FoldPredictions, column: int) -> Curve:
    """False positive rate (x) and sensitivity (y) of a class, from (0, 0) to (1, 1); the area is its AUROC.

    Raises ValueError where `has_curve` is false.
    """
    members, scores = _one_against_the_rest(fold, column)
    x, y, thresholds = sklearn.roc_curve(members, scores, drop_intermediate=False)
    return Curve(x, y, thresholds, float(sklearn.roc_auc_score(members, scores)))


def precision_recall_curve(fold: FoldPredictions, column: int) -> Curve:
    """Sensitivity (x) and precision (y) of a class, from (0, 1); the area is its average precision.

    Draw it as steps: between two thresholds there is nothing to interpolate. Raises ValueError
    where `has_curve` is false.
    """
    members, scores = _one_against_the_rest(fold, column)
    precision, recall, thresholds = sklearn.precision_recall_curve(members, scores)
    area = float(sklearn.average_precision_score(members, scores))
    return Curve(recall[::-1], precision[::-1], np.append(thresholds, np.inf)[::-1], area)


def reliability(fold: FoldPredictions, bins: int = BINS) -> Reliability:
    """Of the most probable class of each case; with 15 bins their mean distance from the diagonal is `ece`."""
    confidence = fold.probabilities.max(axis=1, initial=0.0)
    places = confidence_bins(confidence, bins)
    counts = np.bincount(places, minlength=bins)
    right = np.bincount(places, weights=fold.predicted == fold.labels, minlength=bins)
    return Reliability(
        edges=np.linspace(0, 1, bins + 1),
        counts=counts,
        confidence=quotient(np.bincount(places, weights=confidence, minlength=bins), counts),
        accuracy=quotient(right, counts),
    )


def _one_against_the_rest(fold: FoldPredictions, column: int) -> tuple[np.ndarray, np.ndarray]:
    if not has_curve(fold, column):
        raise ValueError(f"a curve of {fold.classes[column]} needs cases of it and of other classes")
    return fold.labels == column, fold.probabilities[:, column]
