"""The ranking against Demsar 2006 and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from experiments.statistics import critical_difference, friedman_nemenyi

# Demsar 2006, table 6: ranks of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets.
DEMSAR = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)


@pytest.mark.parametrize(
    ("alpha", "quantiles"),
    [
        (0.05, (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)),
        (0.10, (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920)),
    ],
)
def test_critical_values_are_those_of_demsars_table(alpha: float, quantiles: tuple[float, ...]) -> None:
    for configurations, quantile in enumerate(quantiles, start=2):
        q = critical_difference(configurations, 10, alpha) / math.sqrt(configurations * (configurations + 1) / 60)
        assert q == pytest.approx(quantile, abs=1.1e-3)


def test_demsars_example() -> None:
    found = friedman_nemenyi(-DEMSAR)
    assert found.blocks == 14
    assert found.average_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert friedman_nemenyi(-DEMSAR, 0.10).critical_difference == pytest.approx(1.12, abs=5e-3)
    # "... cannot tell to which group": at 0.05 nothing differs; at 0.10 C4.5 differs from both with m.
    assert found.cliques == ((3, 1, 2, 0),)
    assert friedman_nemenyi(-DEMSAR, 0.10).cliques == ((3, 1, 2), (2, 0))
    # Demsar's 9.28 leaves ties uncorrected; corrected it is larger by the share of the ranks' variance that ties take.
    uncorrected = 12 * 14 / 20 * (np.square(found.average_ranks).sum() - 25)
    assert uncorrected == pytest.approx(9.28, abs=5e-3)
    ties = 1 - (3 * 6 + 2 * 0 + 1 * 60 + 1 * 0 + 6 * 0) / (14 * 60)
    assert found.statistic == pytest.approx(uncorrected / ties)
    assert found.p == pytest.approx(scipy_stats.chi2.sf(found.statistic, 3))


def test_the_statistic_is_scipys_and_the_best_has_the_lowest_rank() -> None:
    scores = np.random.default_rng(3).normal(0, 1, (40, 5)) + np.array([0, 0.2, 0.9, 0.1, 2.0])
    found = friedman_nemenyi(scores)
    theirs = scipy_stats.friedmanchisquare(*scores.T)
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert found.average_ranks.argmin() == 4 and found.average_ranks.mean() == pytest.approx(3)


def test_cliques_hold_all_pairs_that_do_not_differ_and_no_other() -> None:
    scores = np.random.default_rng(5).normal(0, 1, (30, 8)) + np.linspace(0, 1.5, 8)
    found = friedman_nemenyi(scores)
    ranks, together = found.average_ranks, {frozenset((a, b)) for c in found.cliques for a in c for b in c if a != b}
    alike = {
        frozenset((a, b)) for a in range(8) for b in range(a) if abs(ranks[a] - ranks[b]) <= found.critical_difference
    }
    assert together == alike
    assert not any(set(one) < set(other) for one in found.cliques for other in found.cliques)


def test_equals_everywhere_do_not_differ() -> None:
    found = friedman_nemenyi(np.tile(np.arange(6.0)[:, None], 4))
    assert (found.statistic, found.p, found.cliques) == (0.0, 1.0, ((0, 1, 2, 3),))


@pytest.mark.parametrize("scores", [np.zeros((5, 2)), np.zeros((1, 3)), np.full((5, 3), np.nan)])
def test_what_cannot_be_ranked_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="ranks need"):
        friedman_nemenyi(scores)
