"""All metrics of one case or one fold at once, and their means over cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.metrics.masks.pair import MaskPair
from utils.metrics.metric import METRICS, FoldPredictions, Kind


def metric_names(kind: Kind | None = None) -> tuple[str, ...]:
    """The registered names, in the order of the CSV columns; of one kind or of both."""
    return tuple(name for name, metric in METRICS.items() if kind is None or metric.kind == kind)


def case_scores(
    prediction: np.ndarray,
    reference: np.ndarray,
    *,
    spacing: tuple[float, float] | None = None,
    instances: np.ndarray | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, float]:
    """Every per-case metric of two masks, boolean or 0/1, (height, width), at one resolution.

    spacing: height and width of a pixel in mm, which turns distances from pixels into mm.
    instances: the reference's instances, integers with background 0; else its connected components.
    options: metric -> its options, such as ``{"nsd": {"tolerance": 1.0}}``.
    NaN where a metric is not defined for the case. Raises ValueError for arrays that do not fit
    each other, and UserError for options of a metric that does not exist.
    """
    masks = MaskPair.of(prediction, reference, spacing=spacing, instances=instances)
    chosen = {METRICS[name].name: given for name, given in (options or {}).items()}
    return {name: metric(masks, **chosen.get(name, {})) for name, metric in METRICS.items() if metric.kind == "case"}


def fold_scores(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str] | None = None
) -> dict[str, float]:
    """Every per-fold metric of labels (N,) in [0, C) and probabilities (N, C).

    classes: the C names; without them the classes are called by their numbers. NaN where a metric
    is not defined for the fold. Raises ValueError for shapes or values that do not fit, non-finite
    probabilities among them.
    """
    names = [str(column) for column in range(probabilities.shape[1])] if classes is None else classes
    fold = FoldPredictions.of(labels, probabilities, names)
    return {name: metric(fold) for name, metric in METRICS.items() if metric.kind == "fold"}


def mean_over_cases(values: Iterable[float]) -> float:
    """The mean over the cases for which a metric is defined; NaN if there is none."""
    numbers = np.fromiter(values, dtype=np.float64)
    defined = numbers[~np.isnan(numbers)]
    return float(defined.mean()) if defined.size else float("nan")


def mean_scores(cases: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Every per-case metric's mean over the cases for which it is defined; NaN where there is none."""
    return {name: mean_over_cases(scores[name] for scores in cases) for name in metric_names("case")}
