"""A race that follows the ledger, and what is made of it: rows of the leaderboard, trials of the study."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from experiments.books import STUDY_FILE, Books
from experiments.opened import OpenedSweep, open_sweep
from experiments.sweep import Sweep, load_sweep
from utils.errors import UserError

SKILLS = {"a": 0.8, "b": 0.79, "c": 0.81, "d": 0.78, "e": 0.8, "f": 0.79, "bad": 0.2, "worse": 0.1}


@pytest.fixture
def raced(finished_sweep: Callable[..., Sweep], tmp_path: Path) -> Callable[..., OpenedSweep]:
    """The sweep with so many of its runs, raced: fold 0 of the eight, then fold 1 in the order of `SKILLS`."""

    def make(runs: int, skills: dict[str, float | None] = SKILLS, *overrides: str) -> OpenedSweep:
        sweep = finished_sweep(skills, runs=runs)
        assert sweep.source is not None
        again = load_sweep(sweep.source, ["racing.enabled=true", *overrides])
        return open_sweep(again, tmp_path / "results", lambda stage, done, total: None)

    return make


def statuses(opened: OpenedSweep) -> dict[str, str]:
    return {line.entry.name: line.status for line in opened.leaderboard.ranked()}


def test_the_hopeless_are_raced_out_and_the_sweep_is_complete_without_them(raced: Callable[..., OpenedSweep]) -> None:
    opened = raced(8 + 6)
    assert opened.complete and opened.left == 0 and opened.expected == 14
    assert statuses(opened) == {**dict.fromkeys("abcdef", "complete"), "bad": "raced_out", "worse": "raced_out"}


def test_until_the_pilots_have_ended_nobody_is_stopped(raced: Callable[..., OpenedSweep]) -> None:
    opened = raced(8 + 5)
    assert "raced_out" not in statuses(opened).values()
    assert not opened.complete and opened.left == 3


@pytest.mark.slow
def test_a_full_table_stays_one(raced: Callable[..., OpenedSweep]) -> None:
    assert set(statuses(raced(16)).values()) == {"complete"}


@pytest.mark.slow
def test_a_failed_configuration_has_no_more_to_run(raced: Callable[..., OpenedSweep]) -> None:
    opened = raced(8 + 6, {**SKILLS, "worse": None})
    assert opened.complete and statuses(opened)["worse"] == "failed" and statuses(opened)["bad"] == "raced_out"


def test_halving_reads_the_validation_scores(raced: Callable[..., OpenedSweep]) -> None:
    opened = raced(8, SKILLS, "racing.epochs=asha", "racing.margin=1")
    assert [name for name, status in statuses(opened).items() if status == "raced_out"] == ["bad", "worse"]


def test_what_is_tested_on_other_cases_cannot_race(finished_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    source = finished_sweep({"a": 0.8}).source
    assert source is not None
    grid = ["racing.enabled=true", "search={grid: {folds.seed: [1, 42]}, cases: [{name: a, training.seed: 1}]}"]
    with pytest.raises(UserError, match="cannot race"):
        open_sweep(load_sweep(source, grid), tmp_path / "results", lambda stage, done, total: None)


@pytest.mark.slow
def test_pruned_trials_live_again_when_their_configuration_races_again(raced: Callable[..., OpenedSweep]) -> None:
    opened = raced(8 + 6)
    out = {line.entry.id for line in opened.leaderboard.ranked() if line.status == "raced_out"}

    def states() -> list[str]:
        with warnings.catch_warnings(action="ignore"):
            study = optuna.load_study(study_name="made", storage=f"sqlite:///{opened.results / STUDY_FILE}")
        return [trial.state.name for trial in study.trials]

    said: list[str] = []
    books = Books(opened.sweep, opened.planned, opened.results, opened.ledger.folder, said.append, lambda: out)
    books.open(opened.records)
    assert states() == ["COMPLETE"] * 6 + ["PRUNED"] * 2
    out.clear()
    books._write()
    assert states() == ["COMPLETE"] * 6 + ["RUNNING"] * 2
    books.close()
    assert said == []
