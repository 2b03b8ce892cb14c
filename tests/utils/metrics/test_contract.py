"""What every registered metric promises, whatever it measures; a new one is tested by being registered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from utils.errors import UserError
from utils.metrics import METRICS, FoldPredictions, Metric, case_scores, fold_scores, metric_names
from utils.metrics.table import COLUMNS, metrics_table

PAIRS = array_shapes(min_dims=2, max_dims=2, max_side=8).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)
FOLD = [metric for metric in METRICS.values() if metric.kind == "fold"]


def best_of(metric: Metric) -> float:
    return metric.range[1] if metric.direction == "max" else metric.range[0]


def within(name: str, value: float) -> bool:
    low, high = METRICS[name].range
    return math.isnan(value) or low <= value <= high


def cases(seed: int, count: int, classes: int, digits: int = 2) -> FoldPredictions:
    """Labels of which one class may be absent, probabilities with ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - seed % 2, count)
    probabilities = rng.dirichlet(np.ones(classes), count) + 0.4 * np.eye(classes)[labels]
    probabilities = np.round(probabilities / probabilities.sum(axis=1, keepdims=True), digits)
    return FoldPredictions.of(labels, probabilities, [str(column) for column in range(classes)])


def test_the_names_are_the_columns_in_their_order() -> None:
    assert metric_names("case") == (
        *("dice", "iou", "pixel_accuracy", "sensitivity", "specificity", "precision", "false_positive_rate"),
        *("hd95", "hausdorff", "assd", "nsd", "pq", "sq", "rq", "aji", "aji_plus"),
    )
    assert metric_names("fold") == (
        *("accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc", "sensitivity_at_95_specificity"),
        *("ece", "brier"),
    )
    assert metric_names() == metric_names("case") + metric_names("fold")


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_what_it_is(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name and metric.empty_case and metric.reference and metric.function.__doc__
    assert metric.range[0] < metric.range[1] and metric.sign == (1 if metric.direction == "max" else -1)
    assert METRICS.check(name, {}) == ({"tolerance": 2.0} if name == "nsd" else {})
    if math.isinf(metric.range[1]):
        assert metric.unit


@settings(deadline=None)
@given(PAIRS)
def test_values_of_cases_lie_in_the_declared_range(pair: tuple[np.ndarray, np.ndarray]) -> None:
    scores = case_scores(*pair)
    assert tuple(scores) == metric_names("case")
    assert all(within(name, value) for name, value in scores.items())


@settings(deadline=None)
@given(PAIRS)
def test_the_truth_itself_scores_perfectly(pair: tuple[np.ndarray, np.ndarray]) -> None:
    for name, value in case_scores(pair[0], pair[0]).items():
        assert math.isnan(value) or value == best_of(METRICS[name])


@settings(deadline=None)
@given(PAIRS)
def test_only_references_without_a_lesion_leave_metrics_undefined(pair: tuple[np.ndarray, np.ndarray]) -> None:
    undefined = {name for name, value in case_scores(*pair).items() if math.isnan(value)}
    if not pair[1].any():
        assert undefined == set(metric_names("case")) - {"pixel_accuracy", "specificity", "false_positive_rate"}
    else:
        assert undefined == {"false_positive_rate"} | ({"specificity"} if pair[1].all() else set())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(0, 30))
def test_values_of_folds_lie_in_the_declared_range(seed: int, classes: int, count: int) -> None:
    fold = cases(seed, count, classes)
    scores = fold_scores(fold.labels, fold.probabilities, fold.classes)
    assert tuple(scores) == metric_names("fold")
    assert all(within(name, value) for name, value in scores.items())


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_certainty_of_the_right_classes_scores_perfectly(labels: list[int]) -> None:
    for name, value in fold_scores(np.array(labels), np.eye(3)[labels]).items():
        assert math.isnan(value) or value == best_of(METRICS[name])


@pytest.mark.parametrize("metric", FOLD, ids=lambda metric: metric.name)
@pytest.mark.parametrize(("seed", "count", "classes"), [(0, 40, 3), (1, 40, 3), (2, 9, 2), (3, 3, 4), (4, 130, 3)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_weighted_cases_are_cases_drawn_that_often(
    metric: Metric, seed: int, count: int, classes: int, kind: type
) -> None:
    fold = cases(seed, count, classes, digits=1 + seed % 2)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=30).astype(kind)
    # Resamples of one class alone, of one case, and of none.
    weights[0] *= fold.labels == fold.labels[0]
    weights[1], weights[2] = 0, 0
    weights[1, 0] = 3
    expected = []
    for row in weights.astype(int):
        drawn = np.repeat(np.arange(count), row)
        expected.append(metric(FoldPredictions(fold.labels[drawn], fold.probabilities[drawn], fold.classes)))
    assert metric.weighted is not None
    found = metric.weighted(fold, weights)
    assert found.shape == (30,) and found.dtype == np.float64
    assert found == pytest.approx(np.array(expected), nan_ok=True, abs=1e-12)
    assert math.isnan(found[2])


def test_many_weightings_are_worked_out_in_parts_without_a_seam() -> None:
    fold = cases(0, 12, 3)
    weights = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=1203).astype(np.float32)
    for metric in FOLD:
        whole = metric.weighted(fold, weights)
        for part in (slice(0, 3), slice(498, 503), slice(1200, 1203)):
            assert whole[part] == pytest.approx(metric.weighted(fold, weights[part]), nan_ok=True)
        assert metric.weighted(fold, weights[:0]).shape == (0,)


def test_options_of_a_metric_that_does_not_exist_are_refused() -> None:
    mask = np.ones((2, 2), bool)
    with pytest.raises(UserError, match="nsd"):
        case_scores(mask, mask, options={"nsb": {"tolerance": 1.0}})
    with pytest.raises(TypeError, match="tolerance"):
        case_scores(mask, mask, options={"dice": {"tolerance": 1.0}})


def test_the_table_has_a_row_for_each_metric() -> None:
    header, rule, *rows = metrics_table().splitlines()
    assert [cell.strip() for cell in header.strip("|").split("|")] == list(COLUMNS) and set(rule) == set("| -")
    assert [row.split("`")[1] for row in rows] == list(METRICS)
    assert all(row.count(" | ") == len(COLUMNS) - 1 for row in rows)
    assert "`tolerance: 2.0`" in next(row for row in rows if row.startswith("| `nsd`"))
