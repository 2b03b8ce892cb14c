"""Resamples and intervals against brute force and scipy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from experiments.statistics import (
    RESAMPLES,
    FoldSample,
    expanded_level,
    group_weights,
    interval,
    probability_best,
    resampled_fold_metric,
    resampled_means,
    resampled_metrics,
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


def test_fold_metrics_without_a_weighted_form_are_drawn_one_by_one() -> None:
    sample = sample_of(3)
    weights = group_weights(sample.group_count, 20, "slow")
    for name, metric in METRICS.items():
        if metric.kind == "fold":
            fast = resampled_fold_metric(metric, sample, weights)
            slow = resampled_fold_metric(replace(metric, weighted=None), sample, weights)
            assert slow == pytest.approx(fast, nan_ok=True), name


def test_metrics_of_a_fold_without_predictions_have_no_resamples() -> None:
    sample = FoldSample(np.arange(4), ("dice",), np.ones((4, 1)), None)
    weights = group_weights(4, 5, "none")
    assert set(resampled_metrics(sample, weights)) == {"dice"}
    assert np.isnan(resampled_fold_metric(METRICS["auroc"], sample, weights)).all()


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.floats(1e-6, 1e6), st.floats(0, 0.5))
def test_resampled_means_are_the_same_bits_alone_and_among_others(seed: int, size: float, missing: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, size, (30, 7))
    values[rng.random(values.shape) < missing] = np.nan
    groups = np.concatenate([np.arange(20), rng.integers(0, 20, 10)])
    weights = group_weights(20, 50, seed)
    together = resampled_means(values, groups, weights)
    for column in range(7):
        alone = resampled_means(values[:, [column]], groups, weights)[:, 0]
        assert np.array_equal(alone, together[:, column], equal_nan=True)
    drawn = np.repeat(np.arange(30), weights[0].astype(int)[groups])
    expected = [mean_over_cases(column) for column in values[drawn].T]
    assert together[0] == pytest.approx(expected, rel=1e-9, abs=1e-9 * size, nan_ok=True)


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


def test_the_level_is_expanded_as_hesterberg_has_it() -> None:
    # 20 groups: the normal level of t(0.975; 19) * sqrt(20 / 19)
    quantile = scipy_stats.t.ppf(0.975, 19) * math.sqrt(20 / 19)
    assert expanded_level((20,)) == pytest.approx(1 - 2 * scipy_stats.norm.sf(quantile))
    assert 0.95 < expanded_level((60, 60, 60)) < expanded_level((20, 20, 20)) < expanded_level((20,)) < 1
    assert expanded_level((10_000,)) == pytest.approx(0.95, abs=1e-4)
    assert math.isnan(expanded_level((1, 1))) and math.isnan(expanded_level(()))


def test_an_expanded_interval_of_a_mean_is_students() -> None:
    values = np.random.default_rng(2).normal(0, 1, 25)
    sample = FoldSample(np.arange(25), ("dice",), values[:, None], None)
    weights = group_weights(25, RESAMPLES, "student")
    ours = interval(resampled_metrics(sample, weights)["dice"], expanded_level((25,)))
    theirs = scipy_stats.t.interval(0.95, 24, values.mean(), scipy_stats.sem(values))
    assert ours == pytest.approx(theirs, abs=0.03)


def test_an_interval_needs_a_value_in_most_resamples() -> None:
    assert interval(np.array([1.0, 1.0, np.nan])) == (1.0, 1.0)
    assert all(math.isnan(end) for end in interval(np.array([1.0, np.nan])))
    assert all(math.isnan(end) for end in interval(np.full(10, np.nan)))
    assert all(math.isnan(end) for end in interval(np.ones(10), float("nan")))


def test_groups_that_say_something_of_a_metric_are_counted() -> None:
    values = np.array([[0.5, 1.0], [np.nan, 1.0], [np.nan, 1.0], [0.7, np.nan]])
    sample = FoldSample(np.array([0, 1, 1, 0]), ("dice", "iou"), values, None)
    assert (sample.groups_with("dice"), sample.groups_with("iou"), sample.groups_with("auroc")) == (1, 2, 2)


def test_the_best_of_each_resample_shares_it_with_its_equals() -> None:
    resampled = np.array([[0.9, 0.5, 0.5, np.nan], [0.8, 0.5, 0.6, np.nan], [0.1, 0.5, np.nan, np.nan]])
    shares = probability_best(resampled)
    assert shares == pytest.approx(np.array([1 + 1 / 3, 1 / 3 + 1, 1 / 3]) / 3)
    assert np.isnan(probability_best(np.full((2, 3), np.nan))).all()
    assert probability_best(np.empty((0, 5))).size == 0


def test_the_probability_of_being_the_best_of_two_is_the_sign_of_their_difference() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.normal(0.02, 0.1, 80), rng.normal(0, 0.1, 80)
    weights = group_weights(80, RESAMPLES, "two")
    means = resampled_means(np.stack([one, other], axis=1), np.arange(80), weights).T
    # The mean difference of 80 is nearly normal: the chance that it stays above 0.
    expected = scipy_stats.norm.cdf((one - other).mean() / ((one - other).std() / math.sqrt(80)))
    assert probability_best(means) == pytest.approx([expected, 1 - expected], abs=0.02)
