"""Mean and spread over the folds of a configuration, and the comparison of configurations fold by fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def over_folds(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations over folds, (M,) each, of M metrics on k folds, (M, k).

    A mean is NaN as soon as one fold is NaN or there is none: a missing fold is never averaged away. The standard
    deviation has k - 1 in the denominator, and is NaN for fewer than two folds.
    """
    metrics, k = values.shape
    nothing = np.full(metrics, np.nan)
    return (values.mean(axis=1) if k else nothing), (values.std(axis=1, ddof=1) if k > 1 else nothing)


def mean_over_folds(fold_values: Sequence[float]) -> float:
    """The mean of `over_folds` of one metric."""
    return float(over_folds(np.array([fold_values], dtype=np.float64))[0][0])


def std_over_folds(fold_values: Sequence[float]) -> float:
    """The standard deviation of `over_folds` of one metric."""
    return float(over_folds(np.array([fold_values], dtype=np.float64))[1][0])


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
