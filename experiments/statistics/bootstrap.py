"""The bootstrap: what other patients might have shown. It resamples groups within folds.

Groups, never images, whose near-copies would make any interval too narrow.

The bootstrap works with weights. One resample of a fold draws its G groups G times with
replacement, so it is a row of G counts, and a mean over the resample's cases is a ratio of two
weighted sums over groups. All resamples of all per-case metrics are then one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from utils.identity import derive_seed
from utils.metrics import METRICS, FoldPredictions, Metric

RESAMPLES = 10_000
"""Resamples of one interval: its ends are then uncertain by about a fortieth of its width."""


@dataclass(frozen=True)
class FoldSample:
    """The test cases of one run.

    groups: (N,) integers in [0, G), every one of them used.
    case_metrics: names of the M columns of `case_values`, (N, M), NaN where a metric is not defined.
    predictions: labels and probabilities of the same N cases; None for a network without diagnosis.
    """

    groups: np.ndarray
    case_metrics: tuple[str, ...]
    case_values: np.ndarray
    predictions: FoldPredictions | None

    @cached_property
    def group_count(self) -> int:
        """G, the number of groups."""
        return int(self.groups.max()) + 1 if self.groups.size else 0

    def groups_with(self, metric: str) -> int:
        """How many groups have a case for which the metric is defined; all of them for a metric of the whole fold."""
        if metric not in self.case_metrics:
            return self.group_count
        defined = ~np.isnan(self.case_values[:, self.case_metrics.index(metric)])
        return int(np.count_nonzero(np.bincount(self.groups[defined])))


def group_weights(group_count: int, resamples: int, *names: str | int) -> np.ndarray:
    """How often each resample draws each group, (resamples, group_count) float64; rows sum to group_count.

    The seed comes from `names` (sweep, fold): two configurations tested on the same fold are
    resampled alike, which makes their resamples paired.
    """
    generator = np.random.default_rng(derive_seed("bootstrap", *names, group_count))
    drawn = generator.integers(0, group_count, size=(resamples, group_count))
    rows = np.arange(resamples)[:, None] * group_count
    return np.bincount((rows + drawn).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def resampled_means(values: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean over cases of each of the columns (N, M), in each resample: (resamples, M).

    groups: (N,) integers in [0, G). weights: (resamples, G). NaN in `values` is left out; NaN comes out where a
    resample has no case with a value. The same bits come out however many columns are given at once.
    """
    count = weights.shape[1]
    defined = ~np.isnan(values)
    # Transposed, so that the resamples of a column lie together in memory, as they are used later on.
    sums = (_summable(_group_sums(np.where(defined, values, 0.0), groups, count)).T @ weights.T).T
    # Most metrics are defined for the same cases, which are then counted once.
    alike: dict[bytes, list[int]] = {}
    for column, pattern in enumerate(defined.T):
        alike.setdefault(pattern.tobytes(), []).append(column)
    first = [columns[0] for columns in alike.values()]
    cases = weights @ _group_sums(defined[:, first].astype(np.float64), groups, count)
    cases[cases == 0] = np.nan
    for columns, counted in zip(alike.values(), cases.T, strict=True):
        if len(columns) == sums.shape[1]:
            sums /= counted[:, None]
        else:
            sums[:, columns] /= counted[:, None]
    return sums


def resampled_metrics(sample: FoldSample, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of every resample of one fold: name -> (resamples,).

    weights: (resamples, G). NaN where a resample has no case for which the metric is defined.
    Fold metrics without a weighted form are worked out on the drawn cases themselves, one
    resample after another: right for any metric, and about a hundred times slower.
    """
    means = resampled_means(sample.case_values, sample.groups, weights)
    resampled = {name: means[:, column] for column, name in enumerate(sample.case_metrics)}
    if sample.predictions is not None:
        per_case = _per_case(sample, weights)
        for name, metric in METRICS.items():
            if metric.kind == "fold":
                resampled[name] = _weighted(metric, sample.predictions, per_case)
    return resampled


def resampled_fold_metric(metric: Metric, sample: FoldSample, weights: np.ndarray) -> np.ndarray:
    """One metric of the whole fold in each resample, (resamples,); NaN everywhere without predictions."""
    if sample.predictions is None:
        return np.full(len(weights), np.nan)
    return _weighted(metric, sample.predictions, _per_case(sample, weights))


@lru_cache(maxsize=1024)
def expanded_level(groups: tuple[int, ...], level: float = 0.95) -> float:
    """The level to ask of a percentile interval, so that it covers `level`, from the groups of each fold.

    A bootstrap of G groups has G - 1 degrees of freedom, and thinks that it has G and a normal distribution: its
    interval is too narrow by sqrt((G - 1) / G) and by the quantile of t over that of the normal
    distribution. Hesterberg 2015, The American Statistician 69(4), "expanded percentile interval"; with
    several folds the degrees add up. NaN if there are none.
    """
    from scipy.special import ndtr, stdtrit

    freedom = sum(groups) - len(groups)
    if freedom < 1:
        return float("nan")
    quantile = stdtrit(freedom, (1 + level) / 2) * math.sqrt(sum(groups) / freedom)
    return float(2 * ndtr(quantile) - 1)


def interval(resampled: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of (resamples,) values; resamples without a value are left out.

    (NaN, NaN) for a level of NaN, and if more than half of them have none: such a metric rests on a handful
    of groups. Efron and Tibshirani 1993, chapter 13; `expanded_level` gives the level.
    """
    values = resampled[~np.isnan(resampled)]
    if 2 * values.size <= resampled.size or math.isnan(level):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def probability_best(resampled: np.ndarray) -> np.ndarray:
    """The share of paired resamples in which each configuration is the best, (M,); they sum to 1.

    resampled: (M, resamples) of the objective, larger is better. Configurations that are equal in a resample share
    it; a configuration without a value in it is not the best there. NaN if no resample has any value.
    """
    values = np.where(np.isnan(resampled), -np.inf, resampled)
    top = values.max(axis=0, initial=-np.inf)
    won = (values == top) & np.isfinite(top)
    decided = int(np.isfinite(top).sum())
    if not decided:
        return np.full(len(resampled), np.nan)
    return np.divide(won, np.maximum(won.sum(axis=0), 1)).sum(axis=1) / decided


def _per_case(sample: FoldSample, weights: np.ndarray) -> np.ndarray:
    """Weights of groups (resamples, G) -> weights of cases (resamples, N)."""
    return weights.astype(_exact(sample.groups.size))[:, sample.groups]


def _weighted(metric: Metric, fold: FoldPredictions, per_case: np.ndarray) -> np.ndarray:
    if metric.weighted is not None:
        return metric.weighted(fold, per_case)
    return _drawn_one_by_one(metric.function, fold, per_case)


def _group_sums(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """(N, M) -> (G, M)."""
    columns = [np.bincount(groups, weights=column, minlength=count) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.empty((count, 0))


def _summable(sums: np.ndarray) -> np.ndarray:
    """Group sums (G, M), each column rounded to steps so coarse (2**-52 of the total) that adding G of them is exact.

    A matrix product adds in an order of its own for every shape and machine; exact sums do not depend on it.
    """
    _, exponents = np.frexp(np.abs(sums).max(axis=0, initial=0.0) * len(sums))
    steps = np.ldexp(1.0, exponents - 52)
    return np.round(sums / steps) * steps


def _exact(cases: int) -> type[np.floating]:
    """The smallest float type in which counts of pairs of drawn cases, and halves of them, are exact.

    Products of counts are then the same in whatever order a machine adds them up.
    """
    return np.float32 if cases * cases < 2**23 else np.float64


def _drawn_one_by_one(
    function: Callable[[FoldPredictions], float], fold: FoldPredictions, weights: np.ndarray
) -> np.ndarray:
    values = np.empty(len(weights))
    for row, counts in enumerate(weights.astype(np.int64)):
        drawn = np.repeat(np.arange(fold.labels.size), counts)
        values[row] = function(FoldPredictions(fold.labels[drawn], fold.probabilities[drawn], fold.classes))
    return values
