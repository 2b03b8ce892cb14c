"""Leaderboard files while runs end: soon up to date, but after the slots have their next runs."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.books import Books
from experiments.opened import open_sweep
from experiments.scheduling import Run
from experiments.sweep import Sweep


def complete_in(results: Path) -> int:
    with (results / "made_folds.csv").open(newline="", encoding="utf-8") as file:
        return sum(row["status"] == "complete" for row in csv.DictReader(file))


@pytest.fixture
def books_and_records(finished_sweep: Callable[..., Sweep], tmp_path: Path) -> tuple[Books, dict]:
    sweep = finished_sweep({"good": 0.8, "bad": 0.4})
    opened = open_sweep(sweep, tmp_path / "results", lambda stage, done, total: None)
    books = Books(sweep, opened.planned, opened.results, opened.ledger.folder, print)
    return books, dict(opened.records)


def test_the_slots_do_not_wait_for_the_tables(
    books_and_records: tuple[Books, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.books._SLOTS_FIRST", 1000.0)
    books, records = books_and_records
    books.open({})
    for run, record in records.items():
        books.ended(Run(*run), record)
        books.catch_up()
    assert complete_in(tmp_path / "results") == 0
    books.close()
    assert complete_in(tmp_path / "results") == len(records) == 4


def test_runs_that_end_all_the_time_do_not_put_writing_off(
    books_and_records: tuple[Books, dict], tmp_path: Path
) -> None:
    books, records = books_and_records
    run, record = next(iter(records.items()))
    books.open({})
    began = time.monotonic()
    while complete_in(tmp_path / "results") == 0:
        assert time.monotonic() < began + 30, "put off for ever"
        books.ended(Run(*run), record)
        books.catch_up()
        time.sleep(0.05)
    books.close()
