"""Attends the runs of a sweep: keeps its books when one starts, gets on or ends, and says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from experiments.accounting.sessions import SessionLog
from experiments.books import Books
from experiments.console.display import Display
from experiments.ledger import Record
from experiments.ledger.record import commit
from experiments.scheduling import Run
from experiments.training.spec import RunSpec
from experiments.workload import Workload


class Attendant:
    """The `Observer` of a sweep's runs.

    session: notes from when to when there were runs. specify: what a worker is told about a run.
    """

    def __init__(
        self,
        workload: Workload,
        books: Books,
        display: Display,
        session: SessionLog,
        specify: Callable[[Run], RunSpec],
    ) -> None:
        self._workload, self._books, self._display = workload, books, display
        self._session, self._specify = session, specify

    def find(self, run: Run) -> Record | None:
        """The run's record, if it has one by now."""
        return self._workload.ledger.get(*run)

    def started(self, run: Run) -> None:
        """A worker has taken the run."""
        self._session.started(run)
        self._display.started(run, self._workload.name(run), run.fold)
        self._books.started(run)

    def advanced(self, run: Run, epoch: int, epochs: int, objective: float | None) -> None:
        """The run has finished an epoch."""
        self._session.heard()
        self._display.advanced(run, epoch, epochs, objective)

    def hung(self, run: Run, seconds: float) -> None:
        """The run has come no further for so long; its worker is about to be killed."""
        self._say(run, f"no epoch for {seconds:g} s; its worker is ended")

    def returned(self, run: Run) -> None:
        """The run has stopped through no fault of its own, and waits again."""
        self._session.left(run)
        self._display.gone(run)
        self._books.gone(run)

    def reached(self, run: Run) -> None:
        """The run has come to where the race wants to compare it, and waits."""
        self.returned(run)
        self._tell(self._workload.reached(run))

    def adjusted(self, run: Run, note: str) -> None:
        """The run has run out of memory; what it will do about it."""
        self._say(run, f"{note}; it starts again")

    def paused(self, reason: str) -> None:
        """No run is handed out for now."""
        self._display.say(f"Paused: {reason}. The sweep goes on when there is room; Ctrl-C stops it")

    def resumed(self) -> None:
        """Runs are handed out again."""
        self._display.say("There is room again: the sweep goes on")

    def crashed(self, run: Run, crashes: int, again: bool) -> None:
        """The run's worker died: it is retried from its last epoch, or given up and recorded as failed."""
        self.returned(run)
        if again:
            self._say(run, "its worker died; it goes on from its last epoch")
            return
        spec = self._specify(run)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = Record(
            sweep=spec.sweep,
            configuration=run.configuration,
            fold=run.fold,
            status="failed",
            error=f"its worker process died {crashes} times",
            code=spec.code,
            data=spec.data,
            split=spec.split,
            seed=spec.seed,
            device=spec.device,
            settings=dict(spec.settings),
            started=now,
            finished=now,
        )
        commit(record, spec.folder)
        self.ended(run, self.find(run) or record)  # with a store, a worker thought dead may have come first

    def ended(self, run: Run, record: Record) -> None:
        """The run has its record: the books are brought up to date."""
        self._session.left(run)
        metric = self._workload.sweep.objective.metric
        value, failed = record.metrics.get(metric), record.status == "failed"
        decided = self._workload.ended(run, record)
        score = "undefined" if value is None else f"{value:.4f}"
        outcome = f"failed: {record.error}" if failed else f"{metric} {score}"
        self._display.ended(run, self._workload.name(run), run.fold, outcome, failed)
        self._books.ended(run, record)
        self._tell(decided)

    def _tell(self, decided: list[str]) -> None:
        """What the race has come to."""
        self._display.total = self._workload.expected
        for sentence in decided:
            self._display.say(sentence)

    def _say(self, run: Run, text: str) -> None:
        self._display.say(f"{self._workload.name(run)}, fold {run.fold}: {text}")
