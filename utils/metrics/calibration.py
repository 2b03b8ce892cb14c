"""Whether probabilities mean what they say: one number per fold."""

from __future__ import annotations

import numpy as np

from utils.metrics.classification import quotient
from utils.metrics.metric import FoldPredictions, fold_metric

BINS = 15


def confidence_bins(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each confidence, (N,) in [0, bins): ((m - 1) / bins, m / bins], the first with 0 as well."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _calibration_errors(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    confidence = fold.probabilities.max(axis=1, initial=0.0)
    surplus = (fold.predicted == fold.labels) - confidence
    gaps = weights @ (np.eye(BINS)[confidence_bins(confidence)] * surplus[:, None])
    return quotient(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


@fold_metric(
    "ece",
    direction="min",
    empty_case="no cases: NaN; empty bins weigh nothing",
    reference="Guo et al. 2017, ICML, arXiv:1706.04599 (expected calibration error, 15 bins)",
    weighted=_calibration_errors,
)
def ece(fold: FoldPredictions) -> float:
    """Mean over cases of |accuracy - confidence| of the case's bin, in [0, 1].

    Confidence is the highest probability of a case; the bins divide [0, 1] into 15 equal parts. The
    fewer the cases, the further the number lies above 0 for a network that is calibrated.
    """
    return float(_calibration_errors(fold, np.ones((1, fold.labels.size)))[0])


def _brier_scores(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    true = np.eye(len(fold.classes))[fold.labels]
    return quotient(weights @ np.square(fold.probabilities - true).sum(axis=1), weights.sum(axis=1))


@fold_metric(
    "brier",
    direction="min",
    range=(0.0, 2.0),
    empty_case="no cases: NaN",
    reference="Brier 1950, Monthly Weather Review 78(1) (the original, over all classes)",
    weighted=_brier_scores,
)
def brier(fold: FoldPredictions) -> float:
    """Mean over cases of the sum over classes of (probability - truth)^2, in [0, 2].

    Twice the score that is common for two classes.
    """
    return float(_brier_scores(fold, np.ones((1, fold.labels.size)))[0])
