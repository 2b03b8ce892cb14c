"""The ranking of a whole table: Friedman's test, and Nemenyi's critical difference of average ranks.

Demsar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7. Where Demsar has data sets,
this has any blocks on which every configuration was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.statistics.decision import ALPHA


@dataclass(frozen=True)
class FriedmanTest:
    """Ranks of M configurations over B blocks.

    average_ranks: (M,), 1 is the best. statistic, p: of Friedman's test that all rank alike, ties corrected.
    critical_difference: average ranks that are further apart differ (Nemenyi, at the level alpha).
    cliques: the largest sets of configurations of which no two differ, as columns by rank; the bars of the diagram.
    """

    blocks: int
    average_ranks: np.ndarray
    statistic: float
    p: float
    critical_difference: float
    cliques: tuple[tuple[int, ...], ...]


def friedman_nemenyi(scores: np.ndarray, alpha: float = ALPHA) -> FriedmanTest:
    """Friedman's test of scores (B, M), larger is better, and Nemenyi's critical difference.

    Raises ValueError for fewer than three configurations (two are compared by `wilcoxon_p`), fewer than two
    blocks, or scores that are not finite.
    """
    from scipy.stats import friedmanchisquare, rankdata

    blocks, configurations = scores.shape
    if configurations < 3 or blocks < 2 or not np.isfinite(scores).all():
        raise ValueError(f"ranks need finite scores of 3 configurations or more on 2 blocks or more: {scores.shape}")
    rounded = np.round(scores, 12)
    average = rankdata(-rounded, axis=1).mean(axis=0)
    # Where everybody is equal everywhere there is nothing to test, and scipy divides by zero.
    alike = bool((rounded == rounded[:, :1]).all())
    statistic, p = (0.0, 1.0) if alike else friedmanchisquare(*rounded.T)
    difference = critical_difference(configurations, blocks, alpha)
    return FriedmanTest(blocks, average, float(statistic), float(p), difference, _cliques(average, difference))


def critical_difference(configurations: int, blocks: int, alpha: float = ALPHA) -> float:
    """How far apart two average ranks must be: q_alpha * sqrt(M (M + 1) / (6 B)).

    q_alpha is the studentized range with infinite degrees of freedom over sqrt(2): 1.960 for two
    configurations and 3.164 for ten, at 0.05.
    """
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - alpha, configurations, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(configurations * (configurations + 1) / (6 * blocks)))


def _cliques(average_ranks: np.ndarray, difference: float) -> tuple[tuple[int, ...], ...]:
    """Runs of neighbours in rank of which the first and the last are not further apart than `difference`.

    Only the largest are kept, and none of a single configuration.
    """
    order = np.argsort(average_ranks, kind="stable")
    ranks = average_ranks[order]
    ends = np.searchsorted(ranks, ranks + difference + 1e-9, side="right")
    found, reached = [], 0
    for start, end in enumerate(ends.tolist()):
        if end > reached and end - start > 1:
            found.append(tuple(order[start:end].tolist()))
        reached = max(reached, end)
    return tuple(found)
