"""What a budget allows: nothing that would not end within it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.agenda import ByPromise, Spending, leftover
from experiments.estimates import Durations
from experiments.racing import FoldScores, Marshal, Race
from experiments.scheduling import Run, RunQueue, fold_by_fold
from experiments.sweep import Budget

HOUR = 3600.0
A, B, C = Run("a", 0), Run("b", 0), Run("c", 0)


@dataclass
class Clock:
    now: float = 1000.0
    weights: dict[str, float] = field(default_factory=dict)

    def spending(self, **limits: float) -> Spending:
        weight = self.weights.get
        return Spending(
            Budget(**limits), Durations(lambda one: 1.0), lambda run: weight(run.configuration, 1.0), lambda: self.now
        )


def test_hours_count_from_the_first_run_and_to_the_estimated_end() -> None:
    clock = Clock()
    spending = clock.spending(hours=2)
    clock.now += 5 * HOUR  # the command prepares
    assert spending.allows(A)
    spending.began(A)
    clock.now += HOUR
    spending.ended(A, HOUR)
    assert spending.allows(B)  # it would end with the budget
    clock.now += 1
    assert not spending.allows(B)
    assert spending.refused == [B]


def test_gpu_hours_are_of_all_runs_with_the_share_that_each_occupies() -> None:
    clock = Clock(weights={"a": 0.5, "b": 0.25})
    spending = clock.spending(gpu_hours=3)
    spending.past(2 * HOUR, 1.0)
    spending.ended(C, 2 * HOUR)
    assert spending.spent == 2 * HOUR
    assert spending.allows(B)  # 2 h of a quarter
    spending.began(B)
    assert not spending.allows(A)  # half an hour is spoken for, and a would take one
    spending.ended(B, HOUR)
    assert spending.spent == 2.25 * HOUR


def test_a_run_that_takes_longer_than_estimated_is_due_for_as_long_as_it_takes() -> None:
    clock = Clock()
    spending = clock.spending(gpu_hours=4)
    spending.ended(A, HOUR)
    spending.began(B)
    assert spending.allows(C)
    clock.now += 3.5 * HOUR
    assert not spending.allows(C)


def test_before_anything_is_known_all_is_allowed_and_both_limits_hold() -> None:
    clock = Clock()
    spending = clock.spending(hours=1, gpu_hours=100)
    assert spending.allows(A)
    spending.began(A)
    clock.now += 2 * HOUR
    assert not spending.allows(B)


def test_a_queue_leaves_out_what_is_refused_and_ends() -> None:
    clock = Clock()
    spending = clock.spending(hours=2)
    queue = RunQueue([A, B, C], work={"a": 1.0, "b": 1.0, "c": 1.0}, allowance=spending)
    assert queue.take(ahead=True) is None  # nobody knows yet when it would begin
    assert queue.take() == A
    clock.now += 1.5 * HOUR
    queue.ended(A, 1.5 * HOUR)
    assert queue.take() is None and queue.exhausted
    assert sorted(spending.refused) == [B, C]


def test_who_waits_for_a_run_that_was_refused_waits_in_vain() -> None:
    clock = Clock()
    spending = clock.spending(hours=1)
    answers = [[A, B], None, None]  # a race, whose next decision needs both
    queue = RunQueue([], more=lambda: answers.pop(0), allowance=spending)
    assert queue.take() == A
    clock.now += HOUR
    assert queue.take() is None and not queue.exhausted  # a may bring more
    queue.ended(A, HOUR)
    assert queue.take() is None and queue.exhausted


@pytest.mark.parametrize("limit", [0.5, 10.5, 100.0])
def test_a_race_within_a_budget_ends(limit: float) -> None:
    names = [f"c{number}" for number in range(8)]
    race, clock = Race(names, 3), Clock()
    marshal, spending = Marshal(race), clock.spending(gpu_hours=limit)

    def more() -> list[Run] | None:
        runs = marshal.more()
        return None if runs is None else [Run(*run) for run in runs]

    queue, out = RunQueue([], more=more, work={}, allowance=spending), []
    while not queue.exhausted:
        while len(out) < 2 and (run := queue.take()) is not None:
            out.append(run)
        if out:
            run = out.pop(0)
            clock.now += HOUR / 2
            race.enter(run, FoldScores(float(run.configuration[1:]) / 10 + run.fold / 100))
            queue.ended(run, HOUR)
    assert race.over == (limit == 100.0) and bool(spending.refused) != race.over
    assert spending.spent <= max(2.0, limit) * HOUR  # two began before anybody knew what runs take


@given(
    seconds=st.lists(st.floats(1, 1000), min_size=4, max_size=4),
    limit=st.floats(0.01, 2),
    slots=st.integers(1, 4),
    data=st.data(),
)
def test_gpu_hours_are_kept_but_for_the_first_runs_and_errors_of_estimates(
    seconds: list[float], limit: float, slots: int, data: st.DataObject
) -> None:
    runs = fold_by_fold([(str(number), 3) for number in range(4)])
    clock, order = Clock(), ByPromise(runs, "max", patient=True)
    spending = clock.spending(gpu_hours=limit)
    for number, each in enumerate(seconds):  # what runs take is known: an earlier command has timed them
        spending.ended(Run(str(number), 0), each)
    queue, out, done = RunQueue([], more=order.more, allowance=spending), [], []
    while not queue.exhausted:
        while len(out) < slots and (run := queue.take()) is not None:
            out.append(run)
        if not out:
            continue
        run = out.pop(data.draw(st.integers(0, len(out) - 1)))
        order.learn(run, data.draw(st.floats(0, 1)))
        queue.ended(run, seconds[int(run.configuration)])
        done.append(run)
    assert spending.spent == pytest.approx(sum(seconds[int(run.configuration)] for run in done))
    assert spending.spent <= limit * HOUR
    assert len(done) == len(runs) or spending.refused


def test_what_is_left_over_is_said_with_how_to_go_on() -> None:
    assert leftover(Budget(hours=8), 1, 1, 0) == (
        "The budget of 8 hours allows no further run: 1 run waits, 1 configuration is undecided; "
        "the same command goes on"
    )
    assert leftover(Budget(hours=8, gpu_hours=0.5), 7, 3, 2) == (
        "The budget of 8 hours and 0.5 GPU-hours allows no further run: 7 runs wait, 3 configurations are undecided, "
        "2 not yet drawn; the same command with a larger budget goes on"
    )
