from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.figures.table.cost import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


@settings(max_examples=150, deadline=None)
@given(POINTS)
def test_the_front_is_what_no_other_point_dominates(points: list[tuple[int, int]]) -> None:
    costs, scores = (np.array([point[axis] for point in points], dtype=float) for axis in (0, 1))
    expected = {
        one
        for one, (cost, score) in enumerate(points)
        if not any(c <= cost and s >= score and (c < cost or s > score) for c, s in points)
    }
    front = pareto_front(costs, scores)
    assert set(front.tolist()) == expected and len(front) == len(expected)
    assert (np.diff(costs[front]) >= 0).all() and (np.diff(scores[front]) >= 0).all()


def test_points_without_a_number_are_never_on_the_front() -> None:
    front = pareto_front(np.array([1.0, np.nan, 2.0, 3.0]), np.array([0.5, 0.9, np.nan, 0.6]))
    assert front.tolist() == [0, 3]
