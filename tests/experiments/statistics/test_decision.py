"""Holm against its definition and statsmodels; when a configuration is tied."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from experiments.statistics import holm, over_all_pairs, tied_with_best


def test_the_largest_lead_of_all_pairs_is_adjusted_for_all_pairs() -> None:
    adjusted = over_all_pairs(np.array([0.01, np.nan, 0.04, 0.5]))
    assert adjusted[[0, 2, 3]] == pytest.approx([0.06, 0.24, 1.0])  # four compared, six pairs
    assert np.isnan(adjusted[1])
    assert over_all_pairs(np.array([0.03])).tolist() == [0.03]


def test_tukey_who_is_exact_comes_to_nearly_the_same() -> None:
    t, freedom, configurations = 4.2, 22, 12
    exact = scipy_stats.studentized_range.sf(t * np.sqrt(2), configurations, freedom)
    p = np.full(configurations - 1, 2 * scipy_stats.t.sf(t, freedom))
    assert exact <= over_all_pairs(p)[0] <= 2 * exact


def test_holm_of_a_published_example() -> None:
    # Holm's procedure on p = 0.01, 0.04, 0.03, 0.005, as on its Wikipedia page: H1 and H4 are rejected.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    """An hypothesis' adjusted p is the largest Bonferroni p of any intersection that contains it."""
    p = np.array(p_values)
    subsets = [list(s) for size in range(1, p.size + 1) for s in itertools.combinations(range(p.size), size)]
    closed = [max(min(1, len(s) * p[s].min()) for s in subsets if index in s) for index in range(p.size)]
    assert holm(p) == pytest.approx(closed)


def test_holm_leaves_out_what_was_not_tested() -> None:
    adjusted = holm(np.array([0.02, np.nan, 0.04]))
    assert adjusted == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)
    assert holm(np.array([])).size == 0


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(1).beta(0.3, 1, 200)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_tied_until_both_tests_reject() -> None:
    differences = np.full(4, -0.1)
    tied = tied_with_best(np.array([0.01, 0.01, 0.2, 0.01]), np.array([0.01, 0.2, 0.01, np.nan]), differences)
    assert tied.tolist() == [False, True, True, True]


def test_tied_up_to_the_margin_however_certain() -> None:
    certain = np.full(4, 1e-9)
    differences = np.array([-0.019, -0.021, 0.019, 0.021])
    assert tied_with_best(certain, certain, differences, 0.02).tolist() == [True, False, True, False]
    assert tied_with_best(certain[:2], certain[:2], np.array([0.0, -0.02]), 0.02).tolist() == [True, True]
    assert tied_with_best(certain[:1], certain[:1], np.array([1e-6])).tolist() == [False]
