"""Everything under ``results/`` but the ledger, made from the ledger again. Runs nothing."""

from __future__ import annotations

import argparse
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from experiments.books import Books
from experiments.cascade import write_cascade
from experiments.console.display import Display, shown, standings_table
from experiments.journey import run_file
from experiments.ledger import SweepLock
from experiments.opened import OpenedSweep, open_sweep
from experiments.preparation import write_audit
from experiments.sweep import Sweep
from utils.files import write_text_atomically

if TYPE_CHECKING:
    from experiments.report.writing import ReportFiles

ERROR_FILE = "report_error.txt"


def rebuild(options: argparse.Namespace, console: Console) -> int:
    """Tables, study, figures and report of the sweep, or of every stage of the journey, that `options` name.

    options: those of `sweep_options`. Returns the exit code. Raises UserError.
    """
    from experiments.report.writing import Report

    def again(sweep: Sweep) -> int:
        display = Display(console)
        with display:
            opened = open_sweep(sweep, options.results, display.stage)
            # The books belong to the driver while there is one.
            with SweepLock(opened.ledger.root):
                write_audit(opened.found.sources, opened.results / f"{sweep.name}_audit.csv")
                folder, out = opened.ledger.folder, opened.leaderboard.raced_out
                books = Books(sweep, opened.planned, opened.results, folder, display.say, lambda: out)
                books.open(opened.records)
                books.close()
                if sweep.predicted:
                    write_cascade(opened)
                report = Report(opened)
                files = report.write(display.stage)
                books.annotate(report.pictures())
        _say(opened, files, display)
        display.say(f"Leaderboard: {shown(opened.results / f'{sweep.name}.csv')}")
        return 0

    return run_file(options.sweep, options.overrides, options.demo, options.results, console, again)


def write_reports(options: argparse.Namespace, console: Console) -> int:
    """The report alone; the sweep may be running. options: as in `rebuild`. Raises UserError."""
    from experiments.report.writing import Report

    def write(sweep: Sweep) -> int:
        display = Display(console)
        with display:
            opened = open_sweep(sweep, options.results, display.stage)
            files = Report(opened).write(display.stage)
        _say(opened, files, display)
        return 0

    return run_file(options.sweep, options.overrides, options.demo, options.results, console, write)


def refreshed_report(opened: OpenedSweep, books: Books, display: Display) -> Path | None:
    """The page of the report, written unless the one that is there is right; None where it could not be written.

    books: those of the sweep, closed; their study gets the pictures. A sweep is not lost for want of its report:
    what went wrong is said, and kept beside the ledger's records.
    """
    from experiments.report.writing import Report  # with matplotlib, which nobody should wait for before the runs

    path = opened.ledger.root / ERROR_FILE
    try:
        report = Report(opened)
        if not report.is_current:
            report.write(display.stage)
        books.annotate(report.pictures())
        path.unlink(missing_ok=True)
    except Exception as error:
        write_text_atomically(path, "".join(traceback.format_exception(error)))
        display.say(f"The report could not be written: {type(error).__name__}: {error} ({shown(path)})")
        return None
    return report.page


def _say(opened: OpenedSweep, files: ReportFiles, display: Display) -> None:
    display.console.print(standings_table(opened.leaderboard.as_table(), opened.sweep.objective.metric))
    if not opened.complete:
        display.say(f"{len(opened.records)} of {opened.expected} runs have ended; the sweep's command runs the others")
    for omitted in files.drawn.omitted:
        display.say(f"Not drawn: {omitted.name}, {omitted.reason}")
    display.say(f"Report:      {shown(files.page)}")
