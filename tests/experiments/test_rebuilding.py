"""The report at the end of a sweep: it is there, it is not made twice, and its failure is not the sweep's."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from experiments.books import Books
from experiments.console.display import Display
from experiments.console.interruption import Interruption
from experiments.driver import Driver, Wishes
from experiments.opened import open_sweep
from experiments.rebuilding import ERROR_FILE, refreshed_report
from experiments.sweep import Sweep

Finished = Callable[..., Sweep]


def refreshed(sweep: Sweep, results: Path) -> tuple[Path | None, str]:
    """What `refreshed_report` answers, and what it says."""
    said = io.StringIO()
    display = Display(Console(file=said, width=300))
    opened = open_sweep(sweep, results, lambda stage, done, total: None)
    books = Books(sweep, opened.planned, opened.results, opened.ledger.folder, display.say)
    books.open(opened.records)
    books.close()
    return refreshed_report(opened, books, display), said.getvalue()


def test_a_report_that_is_right_is_not_drawn_again(finished_sweep: Finished, tmp_path: Path) -> None:
    sweep, results = finished_sweep({"broken": None, "too": None}), tmp_path / "results"
    page, said = refreshed(sweep, results)
    assert page == results / "made.html" and "Drawing figures" in said
    before = page.stat().st_mtime_ns
    page, said = refreshed(sweep, results)
    assert page is not None and page.stat().st_mtime_ns == before and "Drawing figures" not in said


def test_a_report_that_cannot_be_written_is_said_and_kept(finished_sweep: Finished, tmp_path: Path) -> None:
    sweep, results = finished_sweep({"broken": None, "too": None}), tmp_path / "results"
    (results / "made.html").mkdir()
    page, said = refreshed(sweep, results)
    assert page is None and "The report could not be written: IsADirectoryError" in said
    assert "Traceback" in (results / "runs" / "made" / ERROR_FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize("report", [True, False])
def test_a_driver_ends_with_its_report_if_it_is_to(finished_sweep: Finished, tmp_path: Path, report: bool) -> None:
    sweep, results = finished_sweep({"broken": None, "too": None}), tmp_path / "results"
    said = io.StringIO()
    with Interruption() as interruption:
        code = Driver(sweep, results, Console(file=said, width=300), interruption, Wishes(report=report)).run()
    assert code == 1, "every run has failed, with a report or without"
    assert (results / "made.html").exists() is report and (results / "made.csv").exists()
    assert ("Report:" in said.getvalue()) is report
