"""What runs will take: by their work at first, then by what was measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments.estimates import Durations, seconds_of, work_of
from experiments.ledger import Record
from experiments.preparation import open_sources, survey
from experiments.sweep import Sweep

WORK = {"small": 10.0, "large": 30.0, "unknown": 0.0}


def record(**values: float | dict[str, float]) -> Record:
    return Record(sweep="s", configuration="c", fold=0, status="complete", code="", data="", split="", seed=0, **values)


def test_nobody_knows_before_a_run_has_ended() -> None:
    durations = Durations(WORK.__getitem__)
    assert durations.of("small") is None
    durations.learn("small", 0.0)  # it never began
    assert durations.of("small") is None


def test_the_pace_of_all_tells_what_work_takes_and_own_runs_tell_better() -> None:
    durations = Durations(WORK.__getitem__)
    durations.learn("small", 20)
    assert durations.of("large") == 60
    durations.learn("large", 100)
    durations.learn("large", 120)
    assert durations.of("large") == 110
    assert durations.of("small") == 20


def test_without_work_the_mean_of_all_runs_has_to_do() -> None:
    durations = Durations(WORK.__getitem__)
    durations.learn("unknown", 30)
    assert durations.of("small") == 30
    durations.learn("small", 10)
    assert durations.of("large") == 30  # by the pace of those whose work is known
    assert Durations(lambda name: 0.0).of("small") is None


def test_a_slot_is_taken_for_more_than_the_epochs() -> None:
    assert seconds_of(record(train_seconds=5.0)) == 5.0
    assert seconds_of(record(train_seconds=5.0, spent={"training": 4.0, "start_up": 3.0})) == 7.0


def test_work_is_operations_times_cases_times_epochs(finished_sweep: Callable[..., Sweep]) -> None:
    sweep = finished_sweep({"a": 0.5}, runs=0)
    [planned] = survey(sweep, open_sources(sweep, lambda stage, done, total: None)).planned
    cases = len(planned.split.folds[0].train)
    assert work_of(planned, 2.0) == pytest.approx(2.0 * cases * 3)
