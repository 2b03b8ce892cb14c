"""When a checkpoint is due: hypothesis over epochs and costs on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.training.checkpoint import Pace


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _as_in_a_fresh_process() -> Iterator[None]:
    before = Pace._seconds_per_byte
    yield
    Pace._seconds_per_byte = before


def trained(epochs: list[float], cost: float, share: float) -> tuple[Clock, list[float]]:
    """The clock after these epochs, and when each checkpoint was begun; the cost is known from a run before."""
    clock, begun = Clock(), []
    with Pace(share, 1000, clock).writing():
        clock.now += cost
    clock.now = 0.0
    pace = Pace(share, 1000, clock)
    for seconds in epochs:
        clock.now += seconds
        if pace.due:
            begun.append(clock.now)
            with pace.writing():
                clock.now += cost
    return clock, begun


EPOCHS = st.lists(st.floats(0.01, 100), min_size=1, max_size=60)


@given(EPOCHS, st.floats(0.001, 20), st.floats(0.01, 0.5))
def test_writing_keeps_to_its_share_and_a_kill_costs_no_more_than_said(
    epochs: list[float], cost: float, share: float
) -> None:
    clock, begun = trained(epochs, cost, share)
    training = clock.now - cost * len(begun)
    assert cost * len(begun) <= share * training * (1 + 1e-6)
    starts = [0.0, *(moment + cost for moment in begun)]
    for start, end in zip(starts, [*begun, clock.now], strict=True):
        assert end - start <= cost / share + max(epochs) + 1e-6


@given(EPOCHS, st.floats(0, 20))
def test_a_share_of_one_is_after_every_epoch(epochs: list[float], cost: float) -> None:
    assert len(trained(epochs, cost, 1.0)[1]) == len(epochs)


def test_larger_networks_are_expected_to_take_longer() -> None:
    clock = Clock()
    small, large = Pace(0.1, 1000, clock), Pace(0.1, 10_000, clock)
    with small.writing():
        clock.now = 1.0
    again = Pace(0.1, 1000, clock)
    clock.now += 10.5
    assert again.due and small.due and not large.due


def test_a_part_says_nothing_about_the_whole() -> None:
    clock, before = Clock(), Pace._seconds_per_byte
    with Pace(0.1, 1000, clock).writing(whole=False):
        clock.now = 5.0
    assert Pace._seconds_per_byte == before


def test_a_failed_writing_changes_nothing() -> None:
    clock = Clock()
    pace, before = Pace(0.1, 1000, clock), Pace._seconds_per_byte
    clock.now = 5.0
    with pytest.raises(OSError, match="full"), pace.writing():
        clock.now = 99.0
        raise OSError("full")
    assert Pace._seconds_per_byte == before
    assert pace.due
