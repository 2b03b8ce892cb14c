"""The books of a sweep: leaderboard files and study, kept up to date with the ledger while it grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from experiments.leaderboard import Standing
from experiments.ledger import Record
from experiments.opened import entry_of, leaderboard_of
from experiments.preparation import PlannedConfiguration
from experiments.scheduling import Run
from experiments.study import ARTIFACTS, StudyError, StudyMirror, annotate, distributions_in, row_of, rows_of
from experiments.sweep import Sweep
from utils.files import disk_full

STUDY_FILE = "optuna.db"

# Writing may take this share of the driver's time: bursts of short runs are written together.
_WRITING_SHARE = 0.1

# A slot that has become free gets its next run first: the tables take longer than that.
_SLOTS_FIRST = 0.25

_WAITED_FOR_ROOM = 5.0


class Books:
    """Leaderboard and study of one sweep. Both are functions of the ledger and can be deleted at any time."""

    def __init__(
        self,
        sweep: Sweep,
        planned: Sequence[PlannedConfiguration],
        results: Path,
        folder: Callable[[str, int], Path],
        warn: Callable[[str], None],
        raced_out: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """raced_out: says which configurations racing has stopped by now."""
        self._raced_out, self._out = raced_out, frozenset[str]()
        self._results, self._warn = results, warn
        self._records: dict[tuple[str, int], Record] = {}
        self._running: set[Run] = set()
        # What is drawn later has the distributions that the sweep file says.
        drawn = None if sweep.space is None else distributions_in(sweep.space)
        self.leaderboard = leaderboard_of(sweep, planned, folder)
        objective = sweep.objective
        self.study = StudyMirror(results / STUDY_FILE, sweep.name, objective.mode, objective.metric, drawn)
        self._study_works = True
        self._next_write = 0.0
        self._news = False
        self.behind = False
        """Whether a full disk keeps the tables from being up to date."""

    def open(self, records: Mapping[tuple[str, int], Record]) -> None:
        """Starts from what the ledger has."""
        self._records = dict(records)
        self._write(sync=True)

    def add(self, planned: PlannedConfiguration) -> None:
        """A configuration that was not known at the start."""
        self.leaderboard.add(entry_of(planned))
        self._in_study(lambda: self.study.add(row_of(self.leaderboard, self.leaderboard.line(planned.id))))

    def started(self, run: Run) -> None:
        """A run is under way."""
        self._running.add(run)
        self._in_study(lambda: self.study.started(run.configuration))

    def gone(self, run: Run) -> None:
        """A run is under way no more, without a record."""
        self._running.discard(run)

    def ended(self, run: Run, record: Record) -> None:
        """A run has its record; `catch_up` writes it."""
        self._running.discard(run)
        self._records[run] = record
        if not self._news:
            self._news, self._next_write = True, max(self._next_write, time.monotonic() + _SLOTS_FIRST)

    def catch_up(self) -> None:
        """Writes what has ended, when it is time to. To be called often."""
        if self._news and time.monotonic() >= self._next_write:
            self._write()

    def close(self) -> None:
        """Brings everything up to date; nothing is running any more."""
        self._running.clear()
        self._write(sync=True)
        self.study.close()

    def annotate(self, pictures: Mapping[str, Sequence[Path]]) -> None:
        """Notes beside the trials, and pictures by configuration id; for books that have been closed."""

        def change() -> None:
            self.study.sync(rows_of(self.leaderboard))
            annotate(self.study, self.leaderboard, self._results / ARTIFACTS, pictures)

        self._in_study(change)
        self.study.close()

    def standings(self, top: int = 5) -> list[Standing]:
        """The top of the leaderboard as it was last written."""
        return self.leaderboard.as_table(top)

    def _write(self, sync: bool = False) -> None:
        """Writes what has changed; `sync` makes the study right whatever is in it."""
        started = time.monotonic()
        out = frozenset(self._raced_out())
        self.leaderboard.update(self._records, self._running, out)
        try:
            self.leaderboard.write(self._results, whole=sync or self.behind)
        except OSError as error:
            if not disk_full(error):
                raise
            if not self.behind:
                self._warn(f"no room for the tables ({error}): they are written when there is, the records are safe")
            self.behind, self._next_write = True, started + _WAITED_FOR_ROOM
            return
        self._news = self.behind = False
        rows = rows_of(self.leaderboard)
        # A trial that was pruned has ended: one that runs again is made anew.
        whole = sync or self.study.lost or not self._out <= out
        self._out = out
        self._in_study(lambda: self.study.sync(rows) if whole else self.study.update(rows))
        now = time.monotonic()
        self._next_write = now + (now - started) * (1 / _WRITING_SHARE - 1)

    def _in_study(self, change: Callable[[], None]) -> None:
        """Changes the study. Its failure costs the sweep nothing: it is said once, and mended at the next sync."""
        try:
            change()
        except StudyError as error:
            if self._study_works:
                self._warn(f"{error}; the sweep goes on without it, and the next command rebuilds it")
            self._study_works = False
