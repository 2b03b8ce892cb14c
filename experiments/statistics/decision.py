"""From the p-values of a whole table to which of its configurations are tied with the best."""

from __future__ import annotations

import numpy as np

ALPHA = 0.05
"""The family-wise error of calling a configuration worse than the best."""


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


def over_all_pairs(p_values: np.ndarray) -> np.ndarray:
    """Bonferroni's adjustment of comparisons with the best, (N,), for all pairs of the N + 1 compared; NaN stays NaN.

    The best was picked by looking at the very scores that are compared: its lead over the worst is the largest among
    all pairs, not one of N that were named beforehand. A NaN counts as no test.
    """
    compared = 1 + int(np.count_nonzero(~np.isnan(p_values)))
    return np.minimum(1.0, p_values * (compared * (compared - 1) / 2))


def tied_with_best(
    case_p: np.ndarray, fold_p: np.ndarray, differences: np.ndarray, margin: float = 0.0, alpha: float = ALPHA
) -> np.ndarray:
    """Whether each configuration is tied with the best, (N,) bool.

    case_p, fold_p: its two adjusted p-values. differences: from the best, of either sign, in the metric's unit.

    It is worse only if both tests reject and the difference exceeds `margin`: per-case tests alone know nothing
    of training noise, a difference that nobody would act on is none however certain it is, and a test
    that could not be made (NaN, such as one over a single fold) rejects nothing.
    """
    return ~((case_p < alpha) & (fold_p < alpha) & (np.abs(differences) > margin))
