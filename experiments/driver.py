"""The driver: takes a sweep from its file to its leaderboard, and every time the same command is given, further."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from experiments.books import STUDY_FILE, Books
from experiments.claims import claims
from experiments.console.display import Display, shown, standings_table
from experiments.console.interruption import Interrupted, Interruption
from experiments.ledger import Ledger, Record, SweepLock
from experiments.ledger.outcome import write_outcome
from experiments.ledger.record import RECORD_FILE, commit
from experiments.opened import OpenedSweep
from experiments.preparation import (
    PlannedConfiguration,
    Provision,
    Provisioner,
    Survey,
    foreseen,
    open_sources,
    survey,
    write_audit,
)
from experiments.rebuilding import refreshed_report
from experiments.scheduling import Run, RunQueue, fold_by_fold
from experiments.scheduling.head import Head
from experiments.scheduling.room import Room
from experiments.search import Search
from experiments.sweep import Sweep, nested
from experiments.training import EXECUTION, TRAINING_VERSION
from experiments.training.spec import RunSpec
from utils.datasets.download import download as download_dataset
from utils.errors import Problem, UserError


class Driver:
    """Runs one sweep. It is the `Observer` of its runs: it keeps the books when one of them ends.

    Everything it knows is derived from the sweep file, the data and the ledger; killing it at any moment
    loses nothing but the epoch that each worker was in. execution: the class that workers execute a run with,
    as ``module:Class``; it must be importable there. report: whether figures and report are written at the end.
    """

    def __init__(
        self,
        sweep: Sweep,
        results: Path,
        console: Console,
        interruption: Interruption,
        *,
        execution: str = EXECUTION,
        report: bool = True,
    ) -> None:
        self.sweep, self.execution, self.report = sweep, execution, report
        self.results = results.absolute()
        self.console, self.interruption = console, interruption
        self.display = Display(console)
        self.ledger = Ledger(self.results, sweep.name)
        self.planned: dict[str, PlannedConfiguration] = {}
        self.provisioner = Provisioner(sweep.name, self.results)
        self.provisions: dict[str, Provision] = {}
        self.search: Search | None = None
        self._no_more: UserError | None = None
        self.threads, self.device = 1, "cpu"
        self.books: Books

    def run(self, *, address: str | None = None, retry_failed: bool = False, download: bool = False) -> int:
        """Prepares, runs what is missing, writes the leaderboard; returns the exit code, 0 or 1.

        Raises UserError for what the user has to mend, `Interrupted` when asked to stop.
        """
        with SweepLock(self.ledger.root), self.display, ExitStack() as stack:
            for line in self.sweep.references:
                self.display.say(line)
            head = None
            if address is None and "ray" not in sys.modules and self._seems_unfinished(retry_failed):
                head = stack.enter_context(Head())  # Ray takes seconds to start; meanwhile the data are read
            found = self._prepare(download)
            runs = self._runs()
            if retry_failed:
                self._forget_failures(runs)
            records = self.ledger.records(runs)
            missing = [run for run in runs if run not in records]
            unfinished = len(records) < self._expected()
            planned = list(self.planned.values())
            if unfinished:
                self.provisions = self.provisioner.all([*planned, *found.previews], self.display.stage)
            self.books = Books(self.sweep, planned, self.results, self.ledger.folder, self.display.say)
            self.books.open(records)
            metric, expected = self.sweep.objective.metric, self._expected()
            self.display.begin(self.sweep.name, metric, expected, len(records), self.books.standings)
            try:
                if unfinished:
                    self._note_outcome(complete=False)
                    self._execute(missing, address, head)
                if self._no_more is not None:
                    raise self._no_more
            finally:
                self.books.close()
            if self.books.behind:
                message = "has no room for the tables; make room and give the command again: the records are safe"
                raise UserError(Problem(str(self.results), message))
            self._note_outcome(complete=len(self.ledger.records(self._runs())) == self._expected())
            page = refreshed_report(self._opened(found), self.books, self.display) if self.report else None
        return self._conclude(self._runs(), page)

    def _runs(self) -> list[Run]:
        """All runs that are known: fold by fold, but what was drawn from a space, configuration by configuration."""
        planned = [(planned.id, planned.folds) for planned in self.planned.values()]
        if self.search is None:
            return fold_by_fold(planned)
        return [Run(configuration, fold) for configuration, folds in planned for fold in range(folds)]

    def _expected(self) -> int:
        """How many runs the sweep will have had at its end."""
        return len(self._runs()) + (self.search.runs_left if self.search is not None else 0)

    def _more(self) -> list[Run]:
        """The runs of the next configuration of the search, taken into all books; none when there is none."""
        try:
            planned = self.search.draw() if self.search is not None else None
            if planned is None:
                return []
            self.provisions[planned.id] = self.provisioner.of(planned)
        except UserError as error:
            self._no_more = error  # raised when what is running has ended: Ray would make a riddle of it
            return []
        self.planned[planned.id] = planned
        self.books.add(planned)
        self.display.total = self._expected()
        return [Run(planned.id, fold) for fold in range(planned.folds)]

    def _note_outcome(self, complete: bool) -> None:
        """Says in the ledger whether other sweeps may build on this one."""
        runs = self._runs()
        failed = sum(record.status == "failed" for record in self.ledger.records(runs).values())
        write_outcome(
            self.ledger.root, complete=complete, configurations=len(self.planned), runs=len(runs), failed=failed
        )

    def _seems_unfinished(self, retry_failed: bool) -> bool:
        """A guess, before the data are read and the runs are known, at whether something will have to run."""
        folds = [configuration.settings.folds for configuration in self.sweep.configurations]
        expected = sum(each.use or (each.k if each.from_file is None else 1) for each in folds)
        expected *= self.sweep.space.samples if self.sweep.space is not None else 1
        return retry_failed or sum(1 for _ in self.ledger.root.glob(f"*/fold-*/{RECORD_FILE}")) < expected

    def _prepare(self, download: bool) -> Survey:
        """Opens the data, writes the audit, draws the folds."""
        if download:
            for name, root in {(c.settings.dataset.name, c.settings.dataset.root) for c in foreseen(self.sweep)}:
                if root is not None:
                    download_dataset(name, root)
        sources = open_sources(self.sweep, self.display.stage)
        write_audit(sources.values(), self.results / f"{self.sweep.name}_audit.csv")
        for source in sources.values():
            self.display.say(source.audit.summary())
        found = survey(self.sweep, sources)
        if self.sweep.space is not None:
            self.search = Search(self.sweep, found, self.ledger)
        drawn = found.planned if self.search is None else self.search.planned
        self.planned = {planned.id: planned for planned in drawn}
        return found

    def _forget_failures(self, runs: Sequence[Run]) -> None:
        for run, record in self.ledger.records(runs).items():
            if record.status == "failed":
                self.ledger.forget_failure(*run)

    def _execute(self, missing: list[Run], address: str | None, head: Head | None) -> None:
        # Ray is imported only when there is something to run: a finished sweep answers at once.
        from experiments.scheduling.cluster import Cluster, available, execute, on_cluster

        resources = self.sweep.resources
        queue = RunQueue(missing, resources.retries, self._more if self.search is not None else None)

        def work(cluster: Cluster) -> None:
            self.interruption.listen()  # Ray has put its own handlers in place of ours
            self.interruption.deferred = True
            cpus, gpus = claims(self.sweep.resources, *available())
            self.threads, self.device = cpus, "auto" if gpus else "cpu"
            execute(
                queue,
                self,
                lambda run: self._spec(run).to_json(),
                cpus=cpus,
                gpus=gpus,
                slots=None if resources.slots == "auto" else resources.slots,
                check=self.interruption.check,
                execution=self.execution,
                timeout=resources.timeout,
                room=Room(self.results),
                cluster=cluster,
            )

        try:
            on_cluster(work, address, head, self._lost)
        except SystemExit:
            # Ray's answer to SIGTERM while it starts, which takes seconds, and its handler stands in place of ours.
            raise Interrupted(signal.SIGTERM) from None
        self.interruption.deferred = False

    def _spec(self, run: Run) -> RunSpec:
        planned, provision = self.planned[run.configuration], self.provisions[run.configuration]
        return RunSpec(
            sweep=self.sweep.name,
            configuration=run.configuration,
            name=planned.configuration.name,
            fold=run.fold,
            settings=nested(planned.configuration.settings),
            folder=self.ledger.folder(*run),
            cache=provision.cache,
            split_file=provision.split_file,
            weights=provision.weights,
            data=planned.source.data,
            split=planned.split.hash,
            code=TRAINING_VERSION,
            threads=self.threads,
            device=self.device,
        )

    # What follows is the `Observer`: called by the scheduling as runs come and go.

    def find(self, run: Run) -> Record | None:
        """The run's record, if it has one by now."""
        return self.ledger.get(*run)

    def started(self, run: Run) -> None:
        """A worker has taken the run."""
        self.display.started(run, self._name(run), run.fold)
        self.books.started(run)

    def advanced(self, run: Run, epoch: int, epochs: int, objective: float | None) -> None:
        """The run has finished an epoch."""
        self.display.advanced(run, epoch, epochs, objective)

    def hung(self, run: Run, seconds: float) -> None:
        """The run has come no further for so long; its worker is about to be killed."""
        self.display.say(f"{self._name(run)}, fold {run.fold}: no epoch for {seconds:g} s; its worker is ended")

    def returned(self, run: Run) -> None:
        """The run has stopped through no fault of its own, and waits again."""
        self.display.gone(run)
        self.books.gone(run)

    def paused(self, reason: str) -> None:
        """No run is handed out for now."""
        self.display.say(f"Paused: {reason}. The sweep goes on when there is room; Ctrl-C stops it")

    def resumed(self) -> None:
        """Runs are handed out again."""
        self.display.say("There is room again: the sweep goes on")

    def _lost(self, reason: str) -> None:
        self.interruption.deferred = False  # what follows may wait for a while
        self.interruption.check()
        self.display.say(f"{reason}; the sweep goes on with another")

    def crashed(self, run: Run, crashes: int, again: bool) -> None:
        """The run's worker died: it is retried from its last epoch, or given up and recorded as failed."""
        self.display.gone(run)
        self.books.gone(run)
        if again:
            self.display.say(f"{self._name(run)}, fold {run.fold}: its worker died; it goes on from its last epoch")
            return
        spec = self._spec(run)
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
        self.ended(run, record)

    def ended(self, run: Run, record: Record) -> None:
        """The run has its record: the books are brought up to date."""
        metric = self.sweep.objective.metric
        value, failed = record.metrics.get(metric), record.status == "failed"
        score = "undefined" if value is None else f"{value:.4f}"
        outcome = f"failed: {record.error}" if failed else f"{metric} {score}"
        self.display.ended(run, self._name(run), run.fold, outcome, failed)
        self.books.ended(run, record)

    def _opened(self, found: Survey) -> OpenedSweep:
        known = (tuple(self.planned.values()), self.ledger.records(self._runs()), self.books.leaderboard)
        undrawn = self.search.left if self.search is not None else 0
        return OpenedSweep(self.sweep, self.results, self.ledger, found, *known, undrawn)

    def _conclude(self, runs: Sequence[Run], page: Path | None) -> int:
        """The last lines on the screen, and the exit code. page: the report, if there is one."""
        records = self.ledger.records(runs)
        failed = {run: record for run, record in records.items() if record.status == "failed"}
        self.console.print(standings_table(self.books.standings(), self.sweep.objective.metric))
        for run, record in failed.items():
            where = self.ledger.folder(*run)
            self.display.say(f"failed: {self._name(Run(*run))}, fold {run[1]}: {record.error} ({where})")
        self.display.say(
            f"{len(records) - len(failed)} of {len(runs)} runs complete"
            + (f", {len(failed)} failed; --retry-failed repeats them" if failed else "")
        )
        report = f"\nReport:      {shown(page)}" if page is not None else ""
        self.display.say(f"Leaderboard: {shown(self.results / f'{self.sweep.name}.csv')}{report}")
        self.display.say(f"Dashboard:   optuna-dashboard sqlite:///{shown(self.results / STUDY_FILE)}")
        return 1 if failed else 0

    def _name(self, run: Run) -> str:
        return self.planned[run.configuration].configuration.name
