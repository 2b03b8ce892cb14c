"""How sure a number of the leaderboard is: pure functions of arrays, without files or names.

Covered: mean and spread over folds, bootstrap intervals that resample groups (never images, whose
near-copies would make any interval too narrow), and the comparison with the best configuration.
Not covered: which configurations are compared, and when; that is the leaderboard's.

The bootstrap works with weights. One resample of a fold draws its G groups G times with
replacement, so it is a row of G counts, and a mean over the resample's cases is a ratio of two
weighted sums over groups. All resamples of all per-case metrics are then one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.identity import derive_seed
from utils.metrics import METRICS, FoldPredictions

RESAMPLES = 2_000
"""Resamples of one interval: its ends are then uncertain by about a twentieth of its width."""

ALPHA = 0.05
"""The family-wise error of calling a configuration worse than the best."""


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


def mean_over_folds(fold_values: Sequence[float]) -> float:
    """The mean of fold means; NaN as soon as one is NaN or there is none: a missing fold is never averaged away."""
    return float(np.mean(fold_values)) if len(fold_values) else float("nan")


def std_over_folds(fold_values: Sequence[float]) -> float:
    """The standard deviation over folds, with k - 1 in the denominator; NaN for fewer than two folds."""
    return float(np.std(fold_values, ddof=1)) if len(fold_values) > 1 else float("nan")


def group_weights(group_count: int, resamples: int, *names: str | int) -> np.ndarray:
    """How often each resample draws each group, (resamples, group_count) float64; rows sum to group_count.

    The seed comes from `names` (sweep, fold): two configurations tested on the same fold are
    resampled alike, which makes their resamples paired.
    """
    generator = np.random.default_rng(derive_seed("bootstrap", *names, group_count))
    drawn = generator.integers(0, group_count, size=(resamples, group_count))
    rows = np.arange(resamples)[:, None] * group_count
    return np.bincount((rows + drawn).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def resampled_metrics(sample: FoldSample, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of every resample of one fold: name -> (resamples,).

    weights: (resamples, G). NaN where a resample has no case for which the metric is defined.
    Fold metrics without a weighted form in `WEIGHTED_METRICS` are worked out on the drawn cases
    themselves, one resample after another: right for any metric, and about a hundred times slower.
    """
    defined = ~np.isnan(sample.case_values)
    sums = weights @ _group_sums(np.where(defined, sample.case_values, 0.0), sample)
    counts = weights @ _group_sums(defined.astype(np.float64), sample)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    resampled = {name: means[:, column] for column, name in enumerate(sample.case_metrics)}
    if sample.predictions is not None:
        per_case = weights.astype(_exact(sample.groups.size))[:, sample.groups]
        for name, metric in METRICS.items():
            if metric.kind == "fold":
                weighted = WEIGHTED_METRICS.get(name)
                resampled[name] = (
                    weighted(sample.predictions, per_case)
                    if weighted
                    else _drawn_one_by_one(metric.function, sample.predictions, per_case)
                )
    return resampled


def interval(resampled: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of (resamples,) values; resamples without a value are left out.

    (NaN, NaN) if more than half of them have none: such a metric rests on a handful of groups.
    Efron and Tibshirani 1993, chapter 13.
    """
    values = resampled[~np.isnan(resampled)]
    if 2 * values.size <= resampled.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilcoxon_p(differences: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Two-sided p of the signed-rank test that paired differences (N,) are symmetric about 0.

    With groups, (N,) integers, one mean difference per group is tested: near-copies of an image are
    not independent witnesses. Zeros are ranked and then dropped (Pratt 1959); ties share ranks with
    the variance corrected. 1 if all are zero, NaN if there are none.
    """
    from scipy.stats import wilcoxon

    if groups is not None and differences.size:
        counts = np.bincount(groups)
        used = counts > 0
        differences = np.bincount(groups, weights=differences)[used] / counts[used]
    if not differences.size:
        return float("nan")
    # Means of equal numbers may differ in the last bit, which would turn ties into ranks.
    differences = np.round(differences, 12)
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, zero_method="pratt").pvalue)


def paired_bootstrap_p(differences: np.ndarray) -> float:
    """Two-sided p that a resampled paired difference (resamples,) has zero inside its interval.

    For objectives that no single case has a share in (auroc, macro_f1). The +1 keeps p above 0,
    which 2,000 resamples cannot show (Davison and Hinkley 1997, section 4.2).
    """
    values = differences[~np.isnan(differences)]
    if not values.size:
        return float("nan")
    tail = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (values.size + 1))


def corrected_t_tests(fold_scores: np.ndarray, best: int, test_to_train: float) -> np.ndarray:
    """Two-sided p-values of the corrected resampled t-test of each row against the row `best`, (M,).

    fold_scores: (M, k) fold means of M configurations on the same k folds. test_to_train: test cases per
    training case. NaN for fewer than two folds, and for `best` itself.

    Folds share training cases, so the variance of a mean over folds is enlarged from 1/k to
    1/k + test/train (Nadeau and Bengio 2003, Machine Learning 52). The variance is that of the residuals of
    a table with an effect of each configuration and of each fold, pooled over the table with
    (M - 1)(k - 1) degrees of freedom: three folds alone leave two, with which a network that draws nothing
    is "tied" with a good one. For M = 2 it is Nadeau and Bengio's test to the digit.
    """
    from scipy.stats import t as student

    rows, k = fold_scores.shape
    p = np.full(rows, np.nan)
    freedom = (rows - 1) * (k - 1)
    if freedom < 1:
        return p
    means = fold_scores.mean(axis=1)
    residuals = fold_scores - means[:, None] - fold_scores.mean(axis=0) + fold_scores.mean()
    error = np.sqrt(2 * np.square(residuals).sum() / freedom * (1 / k + test_to_train))
    others = np.arange(rows) != best
    differences = np.abs(means[best] - means[others])
    # Without any spread a difference is certain, and no difference is none.
    statistics = np.divide(differences, error, out=np.where(differences > 0, np.inf, 0.0), where=error > 1e-12)
    p[others] = 2 * student.sf(statistics, freedom)
    return p


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values (N,) with the family-wise error controlled; NaN stays NaN and counts as no test.

    Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    adjusted = np.full(p_values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p_values[order])) if order.size else []
    return adjusted


def tied_with_best(case_p: np.ndarray, fold_p: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Whether each configuration is tied with the best, (N,) bool, from its two Holm-adjusted p-values.

    Only if both tests reject is it worse. Per-case tests alone know nothing of training noise, and
    a test that could not be made (NaN, such as one over a single fold) rejects nothing.
    """
    return ~((case_p < alpha) & (fold_p < alpha))


def _group_sums(values: np.ndarray, sample: FoldSample) -> np.ndarray:
    """(N, M) -> (G, M)."""
    columns = [np.bincount(sample.groups, weights=column, minlength=sample.group_count) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.empty((sample.group_count, 0))


def _exact(cases: int) -> type[np.floating]:
    """The smallest float type in which counts of pairs of drawn cases, and halves of them, are exact.

    Products of counts are then the same in whatever order a machine adds them up.
    """
    return np.float32 if cases * cases < 2**23 else np.float64


def _weighted_confusion(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    """Case weights (R, N) -> confusion matrices (R, C, C)."""
    count = len(fold.classes)
    cells = np.eye(count * count, dtype=weights.dtype)[fold.labels * count + fold.predicted]
    return (weights @ cells).reshape(-1, count, count)


def _weighted_accuracy(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    right = weights @ (fold.predicted == fold.labels).astype(weights.dtype)
    return np.divide(right, weights.sum(axis=1), dtype=np.float64)


def _weighted_macro_f1(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    confusion = _weighted_confusion(fold, weights)
    hits, cases, given = np.einsum("rcc->rc", confusion), confusion.sum(axis=2), confusion.sum(axis=1)
    f1 = np.divide(2 * hits, cases + given, out=np.zeros(hits.shape), where=cases > 0, dtype=np.float64)
    return f1.sum(axis=1) / (cases > 0).sum(axis=1)


def _weighted_auroc(fold: FoldPredictions, weights: np.ndarray) -> np.ndarray:
    """Pairs of a member and a non-member of the class count by the product of their weights."""
    total, classes = np.zeros(len(weights)), np.zeros(len(weights))
    for column in range(len(fold.classes)):
        members = fold.labels == column
        scores, others = fold.probabilities[members, column], fold.probabilities[~members, column]
        wins = ((scores[:, None] > others) + 0.5 * (scores[:, None] == others)).astype(weights.dtype)
        inside, outside = weights[:, members], weights[:, ~members]
        pairs = inside.sum(axis=1) * outside.sum(axis=1)
        won = np.einsum("rn,rn->r", inside @ wins, outside)
        total += np.divide(won, pairs, out=np.zeros_like(total), where=pairs > 0, dtype=np.float64)
        classes += pairs > 0
    return np.divide(total, classes, out=np.full_like(total, np.nan), where=classes > 0)


def _drawn_one_by_one(
    function: Callable[[FoldPredictions], float], fold: FoldPredictions, weights: np.ndarray
) -> np.ndarray:
    values = np.empty(len(weights))
    for row, counts in enumerate(weights.astype(np.int64)):
        drawn = np.repeat(np.arange(fold.labels.size), counts)
        values[row] = function(FoldPredictions(fold.labels[drawn], fold.probabilities[drawn], fold.classes))
    return values


WEIGHTED_METRICS: Mapping[str, Callable[[FoldPredictions, np.ndarray], np.ndarray]] = {
    "accuracy": _weighted_accuracy,
    "macro_f1": _weighted_macro_f1,
    "auroc": _weighted_auroc,
}
"""Fold metrics of weighted cases: predictions of N cases and weights (R, N) -> (R,)."""
