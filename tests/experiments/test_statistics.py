"""Statistics against scipy, brute force and a published table."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from experiments import statistics
from experiments.statistics import (
    FoldSample,
    corrected_t_tests,
    group_weights,
    holm,
    interval,
    mean_over_folds,
    paired_bootstrap_p,
    resampled_metrics,
    std_over_folds,
    tied_with_best,
    wilcoxon_p,
)
from utils.metrics import METRICS, FoldPredictions, fold_scores, mean_over_cases

CLASSES = ("benign", "malignant", "normal")


def sample_of(seed: int = 0, cases: int = 40, groups: int = 25, classes: int = 3) -> FoldSample:
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.concatenate([np.arange(groups), rng.integers(0, groups, cases - groups)]))
    values = rng.random((cases, 2))
    values[rng.random(cases) < 0.3, 0] = np.nan
    # One decimal: tied probabilities are what weighted ranks get wrong first.
    probabilities = np.round(rng.dirichlet(np.ones(classes), cases), 1)
    labels = rng.integers(0, classes, cases)
    return FoldSample(
        codes, ("dice", "pixel_accuracy"), values, FoldPredictions.of(labels, probabilities, CLASSES[:classes])
    )


def test_a_missing_fold_is_never_averaged_away() -> None:
    assert mean_over_folds([0.5, 0.7, 0.9]) == pytest.approx(0.7)
    assert std_over_folds([0.5, 0.7, 0.9]) == pytest.approx(0.2)
    assert math.isnan(mean_over_folds([0.5, math.nan, 0.9])) and math.isnan(mean_over_folds([]))
    assert math.isnan(std_over_folds([0.5]))


def test_weights_are_draws_of_as_many_groups_from_a_seed_of_names() -> None:
    weights = group_weights(30, 500, "encoders", 0)
    assert weights.shape == (500, 30) and (weights.sum(axis=1) == 30).all()
    # Each count is binomial(30, 1/30): mean 1, variance 29/30.
    assert weights.mean() == 1.0
    assert weights.var() == pytest.approx(29 / 30, abs=0.05)
    assert np.array_equal(weights, group_weights(30, 500, "encoders", 0))
    assert not np.array_equal(weights, group_weights(30, 500, "encoders", 1))


@pytest.mark.parametrize("seed", range(4))
def test_weighted_metrics_equal_metrics_of_the_drawn_cases(seed: int) -> None:
    sample = sample_of(seed)
    assert sample.predictions is not None
    weights = group_weights(sample.group_count, 60, seed)
    resampled = resampled_metrics(sample, weights)
    for row, counts in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(sample.groups.size), counts[sample.groups])
        expected = fold_scores(sample.predictions.labels[drawn], sample.predictions.probabilities[drawn], CLASSES)
        for column, name in enumerate(sample.case_metrics):
            expected[name] = mean_over_cases(sample.case_values[drawn, column])
        assert {name: values[row] for name, values in resampled.items()} == pytest.approx(expected, nan_ok=True)


def test_resamples_that_lose_a_class_or_every_defined_case_are_handled() -> None:
    predictions = FoldPredictions.of(np.array([0, 1, 1]), np.array([[0.6, 0.4], [0.3, 0.7], [0.8, 0.2]]), ("a", "b"))
    values = np.array([[0.5], [np.nan], [np.nan]])
    resampled = resampled_metrics(
        FoldSample(np.array([0, 1, 1]), ("dice",), values, predictions), np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    )
    assert resampled["dice"] == pytest.approx([0.5, math.nan, 0.5], nan_ok=True)
    # Only class a is left in the first resample, only b in the second: no area under any curve.
    assert resampled["auroc"] == pytest.approx([math.nan, math.nan, 0.5], nan_ok=True)
    assert resampled["macro_f1"] == pytest.approx([1.0, 2 / 3, 2 / 3])


def test_fold_metrics_without_a_weighted_form_are_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sample_of(3)
    weights = group_weights(sample.group_count, 20, "slow")
    fast = resampled_metrics(sample, weights)
    monkeypatch.setattr(statistics, "WEIGHTED_METRICS", {})
    slow = resampled_metrics(sample, weights)
    assert set(slow) == set(fast) == {"dice", "pixel_accuracy"} | {n for n, m in METRICS.items() if m.kind == "fold"}
    for name, values in fast.items():
        assert slow[name] == pytest.approx(values, nan_ok=True)


def test_intervals_of_single_case_groups_are_scipys_bootstrap() -> None:
    values = np.random.default_rng(5).beta(6, 2, 120)
    sample = FoldSample(np.arange(120), ("dice",), values[:, None], None)
    ours = interval(resampled_metrics(sample, group_weights(120, 20_000, "a"))["dice"])
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    )
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.001)


def test_copies_of_a_case_widen_the_interval_when_they_are_one_group() -> None:
    values = np.repeat(np.random.default_rng(6).random(40), 4)[:, None]
    weights = [group_weights(count, 4_000, "b") for count in (40, 160)]
    grouped = interval(
        resampled_metrics(FoldSample(np.repeat(np.arange(40), 4), ("dice",), values, None), weights[0])["dice"]
    )
    alone = interval(resampled_metrics(FoldSample(np.arange(160), ("dice",), values, None), weights[1])["dice"])
    assert (grouped[1] - grouped[0]) / (alone[1] - alone[0]) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("groups", [60, 200])
def test_intervals_cover_the_truth(groups: int) -> None:
    rng = np.random.default_rng(7)
    half, tables, covered = groups // 2, 4_000, 0
    codes = np.concatenate([np.arange(groups), np.arange(half)])
    weights = group_weights(groups, 1_000, "cover")
    for _ in range(tables):
        shared = rng.normal(0.8, 0.1, groups)
        values = np.concatenate([shared, shared[:half]]) + rng.normal(0, 0.02, groups + half)
        low, high = interval(resampled_metrics(FoldSample(codes, ("dice",), values[:, None], None), weights)["dice"])
        covered += low <= 0.8 <= high
    assert 0.93 <= covered / tables <= 0.97


def test_an_interval_needs_a_value_in_most_resamples() -> None:
    assert interval(np.array([1.0, 1.0, np.nan])) == (1.0, 1.0)
    assert all(math.isnan(end) for end in interval(np.array([1.0, np.nan])))
    assert all(math.isnan(end) for end in interval(np.full(10, np.nan)))


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
    assert (holm(corrected_t_tests(scores, 0, 0.588)) < 0.05).tolist() == [False, False, True]


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


def test_tied_until_both_tests_reject() -> None:
    tied = tied_with_best(np.array([0.01, 0.01, 0.2, 0.01]), np.array([0.01, 0.2, 0.01, np.nan]))
    assert tied.tolist() == [False, True, True, True]
