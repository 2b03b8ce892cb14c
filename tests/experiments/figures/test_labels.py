from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.figures.labels import columns_of, metric_label, metric_name, names_of, shorten
from experiments.leaderboard import Entry
from experiments.leaderboard.line import Line
from utils.metrics import METRICS


def test_short_names_stay_as_they_are() -> None:
    assert shorten("efficientnet-b0") == "efficientnet-b0"


def test_of_several_settings_the_longest_is_shortened_first() -> None:
    assert shorten("tu-mobilenetv3_large_100, unet, 0.001", 24) == "tu-mo…e_100, unet, 0.001"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abc1_ …", max_size=30), max_size=8).map(", ".join), st.integers(8, 40))
def test_no_name_is_longer_than_the_room(name: str, longest: int) -> None:
    assert len(shorten(name, longest)) <= longest


def test_names_that_shortening_makes_equal_carry_their_ranks() -> None:
    lines = [Line(Entry(id, f"{'x' * 30}{id}{'y' * 30}"), 0, rank=rank) for rank, id in enumerate(("a", "b"), 1)]
    names = names_of(lines, 20)
    assert [name[:3] for name in names] == ["#1 ", "#2 "] and all(len(name) <= 20 for name in names)


def test_axes_say_the_unit() -> None:
    assert metric_label(METRICS["dice"]) == "Dice"
    assert metric_name(METRICS["auroc"]) == "AUROC"
    assert metric_label(METRICS["hd95"]).startswith("HD95 (")


@pytest.mark.parametrize(("labels", "columns"), [([], 1), (["a"], 1), (["short"] * 5, 3), (["x" * 60] * 3, 1)])
def test_legends_have_as_many_columns_as_fit(labels: list[str], columns: int) -> None:
    assert columns_of(labels) == columns
