"""Paired comparisons against brute force, scipy and numbers worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from experiments.statistics import group_means, paired_bootstrap_p, rank_biserial, wilcoxon_p, wilcoxon_p_values


def brute_force_signed_rank(differences: list[float]) -> float:
    """Exact two-sided p over all 2**n signs."""
    ranks = scipy_stats.rankdata(np.abs(differences))
    total = ranks.sum()
    seen = ranks[np.array(differences) > 0].sum()
    extreme = [
        abs(ranks[np.array(signs)].sum() - total / 2) >= abs(seen - total / 2) - 1e-9
        for signs in itertools.product([True, False], repeat=len(differences))
    ]
    return float(np.mean(extreme))


def test_signed_rank_of_few_cases_is_exact() -> None:
    differences = [0.3, -0.1, 0.25, 0.4, 0.05, -0.02, 0.6, 0.31]
    assert wilcoxon_p(np.array(differences)) == pytest.approx(brute_force_signed_rank(differences))


def test_signed_rank_handles_zeros_and_ties() -> None:
    rng = np.random.default_rng(8)
    differences = np.round(rng.normal(0.02, 0.05, 300), 2)
    assert (differences == 0).sum() > 10
    expected = scipy_stats.wilcoxon(differences, zero_method="pratt", method="asymptotic").pvalue
    assert wilcoxon_p(differences) == pytest.approx(expected)
    assert wilcoxon_p(np.zeros(20)) == 1.0
    # 0.1 + 0.2 is not 0.3: the last bit is no difference
    assert wilcoxon_p(np.array([0.1 + 0.2 - 0.3] * 9)) == 1.0
    assert math.isnan(wilcoxon_p(np.array([])))


def test_signed_rank_counts_a_group_of_copies_once() -> None:
    differences = np.random.default_rng(9).normal(0.02, 0.05, 30)
    copies, groups = np.repeat(differences, 5), np.repeat(np.arange(30) * 2, 5)
    assert wilcoxon_p(copies, groups) == pytest.approx(wilcoxon_p(differences))
    assert wilcoxon_p(copies) < wilcoxon_p(differences)


def test_paired_bootstrap_p_counts_the_smaller_tail() -> None:
    assert paired_bootstrap_p(np.array([1.0] * 97 + [-1.0] * 2)) == pytest.approx(2 * 3 / 100)
    assert paired_bootstrap_p(np.zeros(99)) == 1.0
    assert paired_bootstrap_p(np.array([0.1] * 99 + [np.nan])) == pytest.approx(2 / 100)
    assert math.isnan(paired_bootstrap_p(np.array([np.nan])))


@pytest.mark.parametrize("count", [8, 40, 120])
def test_rows_tested_together_have_the_p_values_that_they_have_alone(count: int) -> None:
    rng = np.random.default_rng(count)
    rows = np.round(rng.normal(0.01, 0.05, (30 if count < 14 else 300, count)), 3)
    rows[5] = 0
    together = wilcoxon_p_values(rows)
    assert together[5] == 1.0
    assert together[::15].tolist() == [wilcoxon_p(row) for row in rows[::15]]
    assert np.isnan(wilcoxon_p_values(np.empty((2, 0)))).all()


def test_means_of_groups_are_those_of_their_cases() -> None:
    values = np.array([[1.0, 2.0, 3.0, 10.0], [0.0, 0.0, 6.0, 1.0]])
    assert group_means(values, np.array([7, 2, 7, 2])).tolist() == [[6.0, 2.0], [0.5, 3.0]]
    assert group_means(np.empty((3, 0)), np.empty(0, dtype=int)).shape == (3, 0)


def test_rank_biserial_correlation_by_hand() -> None:
    # |d| ranks: 1, 2, 3, 4, 5; negative ranks 1 + 3 of 15 (Kerby's simple difference formula: 11/15 - 4/15)
    assert rank_biserial(np.array([[-0.1, 0.2, -0.3, 0.4, 0.5]]))[0] == pytest.approx(7 / 15)
    # two zeros keep ranks 1.5 each and count for neither side
    assert rank_biserial(np.array([[0.0, 0.0, 0.3]]))[0] == pytest.approx(3 / 6)
    assert rank_biserial(np.array([[0.1] * 4, [-0.1] * 4, [0.0] * 4])).tolist() == [1.0, -1.0, 0.0]
    assert np.isnan(rank_biserial(np.empty((2, 0)))).all()


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 1).filter(lambda value: abs(value) > 1e-6), min_size=1, max_size=30, unique_by=abs))
def test_the_effect_follows_from_the_statistic_of_the_test(differences: list[float]) -> None:
    array = np.array(differences)
    smaller = scipy_stats.wilcoxon(np.round(array, 12), method="asymptotic").statistic
    total = array.size * (array.size + 1) / 2
    effect = float(rank_biserial(array[None])[0])
    assert abs(effect) == pytest.approx((total - 2 * smaller) / total)
    assert float(rank_biserial(-array[None])[0]) == -effect
