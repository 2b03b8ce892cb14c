"""Keeps a dashboard equal to the ledger, beside the sweep: what it costs is paid by a thread that nobody waits for.

What has ended is written as it ends. The first failure ends that: a server that is out of reach would otherwise be
asked again and again. At the sweep's end all that the dashboard lacks is written once more; what fails then is said,
and the same command tries it again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from experiments.ledger import Record
from experiments.opened import OpenedSweep
from experiments.sweep import Sweep
from experiments.tracking import TRACKERS, TrackedRun, Tracker
from experiments.tracking.results import tracked_sweep

PATIENCE = 600.0
"""Seconds that a finished sweep waits for its dashboard."""


class _Job(NamedTuple):
    """Something to be written. done: set when it has been or has failed; a job that is waited for is always tried."""

    write: Callable[[Tracker], None]
    done: threading.Event | None = None


class Mirror:
    """What the driver tells of its runs; without a tracker it does nothing."""

    def __init__(
        self, name: str, tracker: Tracker | None, sweep: str, results: Path, warn: Callable[[str], None]
    ) -> None:
        """warn: told in one line of what could not be written; nothing is raised for it."""
        self._name, self._tracker, self._warn = name, tracker, warn
        self._sweep, self._results = sweep, results
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._known: set[str] | None = None
        self._works = True
        # A daemon: a server that never answers is no reason not to end.
        self._thread = threading.Thread(target=self._serve, name="tracking", daemon=True)
        if tracker is not None:
            self._thread.start()

    def ended(self, name: str, record: Record, folder: Path) -> None:
        """A run has its record. name: of its configuration, for people."""
        if self._tracker is not None and self._works:
            self._jobs.put(_Job(lambda tracker: self._write(tracker, TrackedRun(name, record, folder))))

    def conclude(self, opened: OpenedSweep) -> None:
        """Writes all that is lacking, and what the sweep has come to; returns when that is done or has failed."""
        if self._tracker is None:
            return
        names = {one.id: one.configuration.name for one in opened.planned}
        runs = [TrackedRun(names[run[0]], record, opened.ledger.folder(*run)) for run, record in opened.records.items()]

        def write_all(tracker: Tracker) -> None:
            self._known = None  # asked anew: what was broken off is not there
            for run in runs:
                self._write(tracker, run)
            sweep = tracked_sweep(opened)
            if sweep is not None and sweep.identity not in self._identities(tracker):
                tracker.conclude(sweep)

        done = threading.Event()
        self._jobs.put(_Job(write_all, done))
        if not done.wait(PATIENCE):
            self._say(f"has not answered for {PATIENCE:g} s; the same command tries again")

    def close(self) -> None:
        """Nothing more will come; what is being written is left to the thread."""
        self._jobs.put(None)

    def _serve(self) -> None:
        tracker, opened = self._tracker, False
        assert tracker is not None, "the thread serves a tracker"
        while (job := self._jobs.get()) is not None:
            try:
                if self._works or job.done is not None:
                    if not opened:
                        tracker.open(self._sweep, self._results)
                        opened = True
                    job.write(tracker)
            except Exception as error:
                reason = str(error).strip().partition("\n")[0][:300]
                self._say(f"{type(error).__name__}: {reason}; the sweep is none the worse for it")
                self._works = False
            finally:
                if job.done is not None:
                    job.done.set()

    def _write(self, tracker: Tracker, run: TrackedRun) -> None:
        if run.identity not in self._identities(tracker):
            tracker.write(run)
            self._identities(tracker).add(run.identity)

    def _identities(self, tracker: Tracker) -> set[str]:
        if self._known is None:
            self._known = tracker.known()
        return self._known

    def _say(self, text: str) -> None:
        self._warn(f"tracking: {self._name} could not be written: {text}")


@contextmanager
def mirrored(sweep: Sweep, results: Path, warn: Callable[[str], None]) -> Iterator[Mirror]:
    """The mirror that a sweep file asks for; warn: as for `Mirror`.

    Raises UserError, before anything is run, where the tracker's package is not installed.
    """
    part = sweep.tracking
    options: Mapping[str, object] = part.options
    mirror = Mirror(part.name, TRACKERS[part.name](**options), sweep.name, results, warn)
    try:
        yield mirror
    finally:
        mirror.close()
