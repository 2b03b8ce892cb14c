from __future__ import annotations

from collections.abc import Iterator

import pytest

from experiments.training.history.clock import PHASES, PhaseClock


class Time:
    """Goes on by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_phase_within_another_interrupts_it_and_outside_nothing_counts(time: Time) -> None:
    clock = PhaseClock(time)
    time.passes(100)
    with clock.phase("validation"):
        time.passes(1)
        with clock.phase("metrics"):
            time.passes(2)
        time.passes(4)
    time.passes(100)
    assert clock.spent() == {"validation": 5.0, "metrics": 2.0}


def test_waiting_is_for_what_comes_and_not_for_what_is_done_with_it(time: Time) -> None:
    def batches() -> Iterator[int]:
        for number in range(3):
            time.passes(1)
            yield number
        time.passes(0.5)

    clock, seen = PhaseClock(time), []
    with clock.phase("training"):
        for batch in clock.waiting(batches()):
            seen.append(batch)
            time.passes(10)
    assert seen == [0, 1, 2]
    assert clock.spent() == {"training": 30.0, "data": 3.5}


def test_a_phase_that_an_exception_ends_is_over(time: Time) -> None:
    clock = PhaseClock(time)
    with pytest.raises(KeyError), clock.phase("training"):
        time.passes(1)
        raise KeyError
    time.passes(100)
    assert clock.spent() == {"training": 1.0}


def test_the_account_can_be_asked_for_in_the_middle_of_a_phase(time: Time) -> None:
    clock = PhaseClock(time)
    with clock.phase("writing"):
        time.passes(1)
        assert clock.spent() == {"writing": 1.0}
        time.passes(1)
    assert clock.spent() == {"writing": 2.0}


def test_earlier_attempts_are_added_and_unknown_phases_ignored(time: Time) -> None:
    clock = PhaseClock(time)
    clock.add({"training": 5.0, "dreaming": 9.0})
    with clock.phase("training"):
        time.passes(1)
    clock.add({"data": 2.0})
    assert clock.spent() == {"training": 6.0, "data": 2.0}
    assert list(clock.spent()) == [phase for phase in PHASES if phase in clock.spent()]
