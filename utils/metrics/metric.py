"""A metric as a value: its number, and everything that a reader must know to believe the number.

A metric is added by one decorated function in `overlap.py`, `classification.py` or a file beside
them; the sweep schema (objectives), the CSV columns and the documentation read `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from utils.registry import Registry

Kind = Literal["case", "fold"]
Direction = Literal["max", "min"]


@dataclass(frozen=True)
class MaskPair:
    """What a per-case metric sees: two boolean masks of one shape, (height, width).

    Everything that several metrics need (the counts, later the distance maps) is worked out once
    per case, on first use.
    """

    prediction: np.ndarray
    reference: np.ndarray

    @classmethod
    def of(cls, prediction: np.ndarray, reference: np.ndarray) -> MaskPair:
        """From boolean or 0/1 arrays. Raises ValueError unless both are (height, width) of one shape."""
        if prediction.ndim != 2 or prediction.shape != reference.shape:
            raise ValueError(f"masks must share one (height, width): {prediction.shape} and {reference.shape}")
        if prediction.size == 0:
            raise ValueError("masks must have at least one pixel")
        return cls(prediction.astype(bool, copy=False), reference.astype(bool, copy=False))

    @cached_property
    def true_positives(self) -> int:
        """Pixels in both masks."""
        return int(np.count_nonzero(self.prediction & self.reference))

    @cached_property
    def predicted(self) -> int:
        """Pixels drawn by the model."""
        return int(np.count_nonzero(self.prediction))

    @cached_property
    def referenced(self) -> int:
        """Pixels of the true lesion."""
        return int(np.count_nonzero(self.reference))

    @property
    def false_positives(self) -> int:
        """Pixels drawn outside the lesion."""
        return self.predicted - self.true_positives

    @property
    def false_negatives(self) -> int:
        """Pixels of the lesion that were not drawn."""
        return self.referenced - self.true_positives

    @property
    def true_negatives(self) -> int:
        """Pixels in neither mask."""
        return self.pixels - self.predicted - self.false_negatives

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.reference.size


@dataclass(frozen=True)
class FoldPredictions:
    """What a per-fold metric sees: every test case's true class and the model's probabilities.

    labels: (N,) integers in [0, C). probabilities: (N, C) finite. classes: C names.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(cls, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> FoldPredictions:
        """Checked. Raises ValueError for wrong shapes, labels outside [0, C) or non-finite probabilities."""
        labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
        if labels.ndim != 1 or probabilities.shape != (labels.size, len(classes)):
            raise ValueError(
                f"expected labels (N,) and probabilities (N, {len(classes)}): {labels.shape}, {probabilities.shape}"
            )
        if labels.size and (labels.min() < 0 or labels.max() >= len(classes)):
            raise ValueError(f"labels must lie in [0, {len(classes)}): {labels.min()} to {labels.max()}")
        if not np.isfinite(probabilities).all():
            raise ValueError("probabilities must be finite: the network has diverged")
        return cls(labels.astype(np.int64), probabilities, tuple(classes))

    @cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class of each case, (N,); the first of equals."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(C, C) counts: true class in rows, predicted class in columns."""
        count = len(self.classes)
        return np.bincount(self.labels * count + self.predicted, minlength=count * count).reshape(count, count)


@dataclass(frozen=True)
class Metric:
    """One registered metric.

    kind: ``case`` (one number per segmented image) or ``fold`` (one number per fold's test part).
    direction: ``max`` if more is better.
    range: the closed interval that values lie in.
    unit: '' for a pure ratio.
    empty_case: what happens where there is nothing to measure, in words for the docs.
    reference: the source of the definition.
    """

    name: str
    kind: Kind
    direction: Direction
    range: tuple[float, float]
    unit: str
    empty_case: str
    reference: str
    function: Callable[[Any], float]

    def __call__(self, measured: MaskPair | FoldPredictions) -> float:
        """The metric's value for one case or one fold; NaN where it is not defined."""
        return float(self.function(measured))

    @property
    def sign(self) -> int:
        """+1 if more is better, else -1: ``sign * value`` is always better when larger."""
        return 1 if self.direction == "max" else -1


METRICS: Registry[Metric] = Registry("metric")
"""Name -> `Metric`, in the order of the CSV columns."""


def case_metric(
    name: str,
    *,
    direction: Direction = "max",
    range: tuple[float, float] = (0.0, 1.0),
    unit: str = "",
    empty_case: str,
    reference: str,
) -> Callable[[Callable[[MaskPair], float]], Callable[[MaskPair], float]]:
    """Decorator: files a function of a `MaskPair` in `METRICS`; NaN means "not defined for this case"."""

    def file(function: Callable[[MaskPair], float]) -> Callable[[MaskPair], float]:
        METRICS.register(name)(Metric(name, "case", direction, range, unit, empty_case, reference, function))
        return function

    return file


def fold_metric(
    name: str,
    *,
    direction: Direction = "max",
    range: tuple[float, float] = (0.0, 1.0),
    unit: str = "",
    empty_case: str,
    reference: str,
) -> Callable[[Callable[[FoldPredictions], float]], Callable[[FoldPredictions], float]]:
    """Decorator: files a function of `FoldPredictions` in `METRICS`; NaN means "not defined for this fold"."""

    def file(function: Callable[[FoldPredictions], float]) -> Callable[[FoldPredictions], float]:
        METRICS.register(name)(Metric(name, "fold", direction, range, unit, empty_case, reference, function))
        return function

    return file
