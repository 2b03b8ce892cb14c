"""Means over folds, and the corrected test against scipy and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from experiments.statistics import corrected_t_tests, mean_over_folds, over_all_pairs, over_folds, std_over_folds


def test_a_missing_fold_is_never_averaged_away() -> None:
    assert mean_over_folds([0.5, 0.7, 0.9]) == pytest.approx(0.7)
    assert std_over_folds([0.5, 0.7, 0.9]) == pytest.approx(0.2)
    assert math.isnan(mean_over_folds([0.5, math.nan, 0.9])) and math.isnan(mean_over_folds([]))
    assert math.isnan(std_over_folds([0.5]))


def test_corrected_t_test_of_two_without_correction_is_students_paired_test() -> None:
    scores = np.array([[0.52, 0.65, 0.41, 0.74], [0.50, 0.60, 0.40, 0.70]])
    p = corrected_t_tests(scores, 0, 0.0)
    assert np.isnan(p[0])
    assert p[1] == pytest.approx(scipy_stats.ttest_rel(scores[0], scores[1]).pvalue)


def test_corrected_t_test_by_hand() -> None:
    # differences 0.02, 0.03, 0.04: mean 0.03, variance 0.0001; t = 0.03 / sqrt((1/3 + 1/2) * 0.0001) = 3.286
    scores = np.array([[0.52, 0.63, 0.44], [0.50, 0.60, 0.40]])
    assert corrected_t_tests(scores, 0, 0.5)[1] == pytest.approx(0.0814, abs=1e-4)


def test_pooled_variance_is_that_of_a_two_way_analysis_of_variance() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(4, 3))
    design = np.array([[float(c == row) for c in range(4)] + [float(f == fold) for f in range(1, 3)]
                       for row in range(4) for fold in range(3)])  # fmt: skip
    solution, _, _, _ = np.linalg.lstsq(design, scores.ravel(), rcond=None)
    error = np.square(scores.ravel() - design @ solution).sum() / (12 - 6)
    t = (solution[2] - solution[0]) / np.sqrt(2 * error * (1 / 3 + 0.6))
    assert corrected_t_tests(scores, 2, 0.6)[0] == pytest.approx(2 * scipy_stats.t.sf(abs(t), 6))


def test_corrected_t_test_at_the_edges() -> None:
    assert np.isnan(corrected_t_tests(np.array([[0.1], [0.2]]), 0, 0.5)).all()
    assert np.isnan(corrected_t_tests(np.array([[0.1, 0.2, 0.3]]), 0, 0.5)).all()
    same = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.35, 0.45, 0.55]])
    assert corrected_t_tests(same, 0, 0.5)[1:].tolist() == [1.0, 0.0]


def test_three_folds_tell_a_network_that_draws_nothing_from_a_good_one() -> None:
    # Three encoders on real images: with its own two degrees of freedom each, the last was "tied" with the first.
    scores = np.array([[0.484, 0.423, 0.601], [0.357, 0.368, 0.478], [0.107, 0.000, 0.016]])
    assert (over_all_pairs(corrected_t_tests(scores, 0, 0.588)[1:]) < 0.05).tolist() == [False, True]


def test_metrics_at_one_go_are_metrics_one_by_one() -> None:
    values = np.array([[0.5, 0.7, 0.9], [0.1, math.nan, 0.3]])
    means, stds = over_folds(values)
    assert means.tolist()[0] == mean_over_folds([0.5, 0.7, 0.9]) and stds[0] == std_over_folds([0.5, 0.7, 0.9])
    assert np.isnan([means[1], stds[1]]).all()
    assert np.isnan(over_folds(np.empty((2, 0)))[0]).all() and np.isnan(over_folds(np.ones((2, 1)))[1]).all()


def test_corrected_t_test_of_ten_folds_by_hand() -> None:
    """Nadeau and Bengio's variance, (1/k + test/train) s**2, of ten differences whose sums can be done on paper."""
    differences = np.array([1, 2, 3, 4, 5, 1, 2, 3, 4, 5]) / 100
    # mean 0.03; squares about it sum to 20e-4, s**2 = 20e-4 / 9; t = 0.03 / sqrt((1/10 + 1/9) * 20e-4 / 9) = 4.380
    t = 0.03 / math.sqrt((1 / 10 + 1 / 9) * 20e-4 / 9)
    assert t == pytest.approx(4.380, abs=1e-3)
    scores = np.stack([0.7 + differences, np.full(10, 0.7)])
    assert corrected_t_tests(scores, 0, 1 / 9)[1] == pytest.approx(2 * scipy_stats.t.sf(t, 9))
