"""A sweep opened as it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.ledger import Ledger, Record
from experiments.ledger.record import commit
from experiments.opened import open_sweep
from experiments.preparation import open_sources, survey
from experiments.search import Search
from experiments.sweep import Sweep, load_sweep
from utils.errors import UserError


def silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


def test_an_opened_sweep_has_its_records_and_a_filled_leaderboard(
    finished_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    sweep = finished_sweep({"good": 0.8, "poor": 0.4, "broken": None})
    before = sorted(path for path in tmp_path.rglob("*"))
    opened = open_sweep(sweep, tmp_path / "results", silent)
    assert opened.complete and len(opened.records) == opened.expected == 6
    assert [line.entry.name for line in opened.leaderboard.ranked()] == ["good", "poor", "broken"]
    assert [line.status for line in opened.leaderboard.ranked()] == ["complete", "complete", "failed"]
    assert sorted(path for path in tmp_path.rglob("*")) == before, "opening writes nothing"


def test_a_sweep_with_missing_runs_is_not_complete(finished_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    opened = open_sweep(finished_sweep({"good": 0.8, "poor": 0.4}, runs=3), tmp_path / "results", silent)
    assert (opened.complete, len(opened.records), opened.expected) == (False, 3, 4)


def test_a_sweep_that_never_ran_is_the_users_error(finished_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing of the sweep made has run yet"):
        open_sweep(finished_sweep({"good": 0.8}, runs=0), tmp_path / "results", silent)


def test_records_of_other_settings_are_no_records_of_the_sweep(
    finished_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    sweep = finished_sweep({"good": 0.8})
    other = load_sweep(sweep.source, ["training.epochs=7"])
    with pytest.raises(UserError, match="no run of the sweep made, as its file and data are now, has ended"):
        open_sweep(other, tmp_path / "results", silent)


def test_draws_of_a_space_are_opened_with_what_is_still_to_be_drawn(
    finished_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    base = finished_sweep({"good": 0.8}, runs=1)
    space = ["search={space: {training.lr: {log_uniform: [1.0e-4, 1.0e-2]}}, sampler: random, samples: 3}"]
    sweep = load_sweep(base.source, space)
    results = tmp_path / "results"
    with pytest.raises(UserError, match="has ended"):
        open_sweep(sweep, results, silent)

    ledger = Ledger(results, sweep.name)
    drawn = Search(sweep, survey(sweep, open_sources(sweep, silent)), ledger).draw()
    assert drawn is not None
    origin = {"code": "1", "data": "d", "split": "s", "seed": 1}
    failed = Record(sweep=sweep.name, configuration=drawn.id, fold=0, status="failed", error="made to", **origin)
    commit(failed, ledger.folder(drawn.id, 0))
    opened = open_sweep(sweep, results, silent)
    assert ([one.id for one in opened.planned], opened.undrawn, opened.complete) == ([drawn.id], 2, False)
    assert opened.leaderboard.varied == ("training.lr",)
