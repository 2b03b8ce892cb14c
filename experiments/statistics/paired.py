"""Two configurations on the same cases: how sure their difference is, and how large.

The unit is the group, not the image: near-copies of an image are not independent witnesses.
"""

from __future__ import annotations

import numpy as np

_ROWS = 256
"""Rows tested at a time: ranking makes a dozen arrays of their size."""


def group_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The means of values (..., N) over each group that `groups`, (N,) integers, names: (..., G), groups ascending."""
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    if not starts.size:
        return np.empty((*values.shape[:-1], 0))
    return np.add.reduceat(values[..., order], starts, axis=-1) / counts


def wilcoxon_p_values(differences: np.ndarray) -> np.ndarray:
    """Two-sided p-values (M,) of the signed-rank tests that each row of (M, N) is symmetric about 0.

    Zeros are ranked and then dropped (Pratt 1959); ties share ranks with the variance corrected. Up to 50
    differences without zeros and ties are tested exactly. 1 if all are zero, NaN if there are none.
    """
    from scipy.stats import wilcoxon

    rows, count = differences.shape
    p = np.full(rows, 1.0 if count else np.nan)
    differences = _rounded(differences)
    tested = np.flatnonzero(differences.any(axis=1))
    # Of few differences scipy chooses a method for a batch as a whole: then a row's p would depend on its neighbours.
    size = _ROWS if count > 50 else 1
    for start in range(0, tested.size, size):
        batch = tested[start : start + size]
        p[batch] = wilcoxon(differences[batch], zero_method="pratt", axis=1).pvalue
    return p


def wilcoxon_p(differences: np.ndarray, groups: np.ndarray | None = None) -> float:
    """`wilcoxon_p_values` of one row, (N,); with groups, (N,) integers, of the mean difference of each group."""
    if groups is not None:
        differences = group_means(differences, groups)
    return float(wilcoxon_p_values(differences[None])[0])


def rank_biserial(differences: np.ndarray) -> np.ndarray:
    """The effect size of the signed-rank test, (M,) in [-1, 1], from differences (M, N); NaN for none.

    The matched-pairs rank-biserial correlation: the share of the rank sum that is positive less the share that is
    negative (Kerby 2014, Comprehensive Psychology 3). 1 if every difference is positive; pairs without
    a difference keep their ranks, as in the test, and count for neither side. Ranks, since scores such as Dice pile
    up at both ends of their range, where a standardised mean difference (Cohen's d) says little.
    """
    from scipy.stats import rankdata

    rows, count = differences.shape
    effect = np.full(rows, np.nan)
    for start in range(0, rows if count else 0, _ROWS):
        batch = _rounded(differences[start : start + _ROWS])
        ranks = rankdata(np.abs(batch), axis=1)
        effect[start : start + _ROWS] = (np.sign(batch) * ranks).sum(axis=1) / (count * (count + 1) / 2)
    return effect


def paired_bootstrap_p(differences: np.ndarray) -> float:
    """Two-sided p that a resampled paired difference (resamples,) has zero inside its interval.

    For objectives that no single case has a share in (auroc, macro_f1). The +1 keeps p above 0,
    which 10,000 resamples cannot show (Davison and Hinkley 1997, section 4.2).
    """
    values = differences[~np.isnan(differences)]
    if not values.size:
        return float("nan")
    tail = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (values.size + 1))


def _rounded(differences: np.ndarray) -> np.ndarray:
    """Means of equal numbers may differ in the last bit, which would turn ties into ranks."""
    return np.round(differences, 12)
