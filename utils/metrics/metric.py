"""A metric as a value: its number, and everything that a reader must know to believe the number.

A metric is added by one decorated function in `overlap.py`, `classification.py` or a file beside
them; the sweep schema (objectives, options), the CSV columns and the documentation read `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np

from utils.metrics.masks.pair import MaskPair
from utils.registry import Registry

Kind = Literal["case", "fold"]
Direction = Literal["max", "min"]
Weighted = Callable[["FoldPredictions", np.ndarray], np.ndarray]
"""A fold metric of weighted cases: predictions of N cases and weights (R, N) -> (R,)."""


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
    function: keyword-only parameters are the metric's options (`METRICS.check`).
    weighted: the metric for many weightings of a fold's cases at once, predictions and weights
    (R, N) -> (R,), NaN where a weighting leaves it undefined: what a bootstrap asks for. A case of
    weight 2 counts as two cases. Without it a bootstrap draws the cases one resample after another.
    """

    name: str
    kind: Kind
    direction: Direction
    range: tuple[float, float]
    unit: str
    empty_case: str
    reference: str
    function: Callable[..., float]
    weighted: Weighted | None = None

    def __call__(self, measured: MaskPair | FoldPredictions, **options: Any) -> float:
        """The metric's value for one case or one fold; NaN where it is not defined."""
        return float(self.function(measured, **options))

    @property
    def __wrapped__(self) -> Callable[..., float]:
        """What `inspect.signature`, and with it the registry, reads the options from."""
        return self.function

    @property
    def sign(self) -> int:
        """+1 if more is better, else -1: ``sign * value`` is always better when larger."""
        return 1 if self.direction == "max" else -1


METRICS: Registry[Metric] = Registry("metric")
"""Name -> `Metric`, in the order of the CSV columns."""

Function = TypeVar("Function", bound=Callable[..., float])


def case_metric(
    name: str,
    *,
    direction: Direction = "max",
    range: tuple[float, float] = (0.0, 1.0),
    unit: str = "",
    empty_case: str,
    reference: str,
) -> Callable[[Function], Function]:
    """Decorator: files a function of a `MaskPair` in `METRICS`; NaN means "not defined for this case"."""

    def file(function: Function) -> Function:
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
    weighted: Weighted | None = None,
) -> Callable[[Function], Function]:
    """Decorator: files a function of `FoldPredictions` in `METRICS`; NaN means "not defined for this fold"."""

    def file(function: Function) -> Function:
        METRICS.register(name)(Metric(name, "fold", direction, range, unit, empty_case, reference, function, weighted))
        return function

    return file
