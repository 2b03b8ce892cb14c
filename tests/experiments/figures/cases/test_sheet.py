from __future__ import annotations

import numpy as np
import pytest

from experiments.figures.cases.histogram import bin_edges
from experiments.figures.cases.lesion_size import running_median, window_of
from experiments.figures.cases.sheet import chosen
from experiments.figures.data import CaseScore


def cases(*scores: float) -> list[CaseScore]:
    return [CaseScore(f"case {number}", 0, score) for number, score in enumerate(scores)]


def test_the_worst_the_middle_and_the_best_are_chosen() -> None:
    picked = chosen(cases(0.9, 0.1, 0.5, 0.4, 0.6, 0.2, 0.8), sign=1, each=1)
    assert [(kind, case.score) for kind, case in picked] == [("worst", 0.1), ("median", 0.5), ("best", 0.9)]


def test_where_less_is_better_the_worst_is_the_largest() -> None:
    assert [case.score for _, case in chosen(cases(1, 2, 3), sign=-1, each=1)] == [3, 2, 1]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 20])
def test_no_case_is_shown_twice(count: int) -> None:
    picked = [case for _, case in chosen(cases(*np.linspace(0, 1, count)), sign=1)]
    assert len(picked) == len(set(picked)) <= 6
    assert picked[0].score == 0 and max(case.score for case in picked) == picked[-1].score


def test_the_running_median_follows_the_order_of_sizes() -> None:
    x, y = running_median(np.array([3.0, 1.0, 2.0, 4.0]), np.array([30.0, 10.0, 99.0, 40.0]), 3)
    assert x.tolist() == [2, 3] and y.tolist() == [30, 40]


@pytest.mark.parametrize(("count", "window"), [(3, 3), (10, 3), (20, 5), (100, 21), (2, 2)])
def test_the_window_grows_with_the_cases(count: int, window: int) -> None:
    assert window_of(count) == window


def test_bins_span_the_range_of_the_metric_or_of_the_values() -> None:
    assert bin_edges(np.array([0.2, 0.4]), (0, 1))[::20] == [0, 1]
    assert bin_edges(np.array([2.0, 8.0]), (0, np.inf))[::20] == [0, 8]
    assert bin_edges(np.array([0.0, 0.0]), (0, np.inf))[-1] > 0
