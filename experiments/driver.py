"""The driver: takes a sweep from its file to its leaderboard, and every time the same command is given, further."""

from __future__ import annotations

import signal
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from experiments.accounting.balance import balance_of
from experiments.accounting.sessions import SessionLog
from experiments.accounting.wording import slot_time
from experiments.agenda import Agenda, leftover
from experiments.attendant import Attendant
from experiments.books import STUDY_FILE, Books
from experiments.cascade import predict_out_of_fold, write_cascade
from experiments.claims import Capacity, capacity_here, capacity_of, slot_of
from experiments.console.display import Display, shown, standings_table
from experiments.console.interruption import Interrupted, Interruption
from experiments.ledger import SweepLock
from experiments.notification import Message, send
from experiments.preflight import Slot
from experiments.preflight.folder import check_folder, marked
from experiments.preflight.node import node_problems
from experiments.rebuilding import refreshed_report
from experiments.scheduling import Run
from experiments.scheduling.head import Head
from experiments.scheduling.room import Room
from experiments.storage import STORED_EXECUTION
from experiments.storage.depot import StoreLost
from experiments.storage.lease import StoreLease
from experiments.storage.store import marked as marked_store
from experiments.sweep import Sweep
from experiments.tracking.mirror import mirrored
from experiments.training import EXECUTION
from experiments.training.spec import RunSpec
from experiments.workload import Workload
from utils.errors import Problem, UserError


@dataclass(frozen=True)
class Wishes:
    """What one command asks for beyond going on with the sweep.

    address: of the Ray cluster to join; None starts Ray here. retry_failed: failed runs are repeated. download: data
    that are not there are fetched. skip_impossible: what can never run is recorded as failed and does not stop the
    sweep. new_data: data and folds may be others than those of the results that are there. report: figures and report
    are written at the end.
    """

    address: str | None = None
    retry_failed: bool = False
    download: bool = False
    skip_impossible: bool = False
    new_data: bool = False
    report: bool = True


class Driver:
    """Runs one sweep.

    Everything it knows is derived from the sweep file, the data and the ledger; killing it at any moment
    loses nothing but the epoch that each worker was in. execution: the class that workers execute a run with,
    as ``module:Class``; it must be importable there.
    """

    def __init__(
        self,
        sweep: Sweep,
        results: Path,
        console: Console,
        interruption: Interruption,
        wishes: Wishes = Wishes(),
        *,
        execution: str | None = None,
    ) -> None:
        self.sweep, self.wishes = sweep, wishes
        self.execution = execution or (EXECUTION if sweep.resources.storage is None else STORED_EXECUTION)
        self.results = results.absolute()
        self.console, self.interruption = console, interruption
        self.display = Display(console)
        self.workload = Workload(sweep, self.results, self.display)
        self.agenda: Agenda | None = None
        self._gpu_memory = 0
        self.books: Books
        self._no_more: UserError | None = None
        self._began = False

    def run(self) -> int:
        """Prepares, runs what is missing, writes the leaderboard; returns the exit code, 0 or 1.

        Raises UserError for what the user has to mend, `Interrupted` when asked to stop.
        """
        if problems := check_folder(self.results):
            raise UserError(problems)
        try:
            page = self._drive()
        except Exception as error:
            if self._began:
                self._tell(None, error)
            raise
        if self._began:
            self._tell(page)
        return self._conclude(page)

    def _drive(self) -> Path | None:
        """Everything up to the report, of which the page is returned if there is one."""
        wishes, workload = self.wishes, self.workload
        with SweepLock(workload.ledger.root), self.display, ExitStack() as stack:
            for line in self.sweep.references:
                self.display.say(line)
            mirror = stack.enter_context(mirrored(self.sweep, self.results, self.display.say))
            workload.heard.append(
                lambda run, record: mirror.ended(workload.name(run), record, workload.ledger.folder(*run))
            )
            if workload.depot is not None:
                stack.enter_context(StoreLease(workload.depot.store, self.sweep.name))
            head = None
            unfinished = wishes.retry_failed or workload.seems_unfinished()
            if wishes.address is None and unfinished and Head.possible():
                head = stack.enter_context(Head())  # Ray takes seconds to start; meanwhile the data are read
            for winner in self.sweep.predicted:
                predict_out_of_fold(self.results, winner, self.display.stage)
            workload.open(download=wishes.download, new_data=wishes.new_data)
            if workload.unfinished(wishes.retry_failed):
                self._make_ready()
            workload.keep_data()
            self._execute_missing(head)
            if self.books.behind:
                message = "has no room for the tables; make room and give the command again: the records are safe"
                raise UserError(Problem(str(self.results), message))
            workload.note_outcome(complete=True)
            opened = workload.opened(self.books.leaderboard)
            if self.sweep.predicted and (said := write_cascade(opened)):
                self.display.say(said)
            page = refreshed_report(opened, self.books, self.display) if wishes.report else None
            mirror.conclude(opened)
            return page

    def _make_ready(self) -> None:
        """What stops the sweep is found before anything runs, and all of it at once."""
        problems: list[Problem] = []
        slot, capacity = Slot("cpu", 0), capacity_here()
        try:
            if self.wishes.address is not None:
                capacity, problems = self._inspected(self.wishes.address)
            slot = slot_of(self.sweep.resources, capacity)
        except UserError as error:
            problems += error.problems
        self._gpu_memory = capacity.gpu_memory
        skip, retry = self.wishes.skip_impossible, self.wishes.retry_failed
        self.workload.make_ready(slot, problems, skip_impossible=skip, retry_failed=retry)

    def _inspected(self, address: str) -> tuple[Capacity, list[Problem]]:
        """What a cluster has, and in which ways its machines do not fit to this one."""
        from experiments.scheduling.nodes import inspect_cluster

        try:
            depot, url = self.workload.depot, self.sweep.resources.storage
            with marked(self.results) if depot is None else marked_store(depot.store) as token:
                reports, silent, available = inspect_cluster(address, self.results, token, storage=url)
        except SystemExit:
            raise Interrupted(signal.SIGTERM) from None  # as in `_execute`
        finally:
            self.interruption.listen()  # Ray has put its own handlers in place of ours
        return capacity_of(*available, reports), [*silent, *node_problems(self.results, reports, url)]

    def _execute_missing(self, head: Head | None) -> None:
        """Runs what has no record, with the books open."""
        workload = self.workload
        records, expected = workload.records(), workload.expected
        planned, folder = list(workload.planned.values()), workload.ledger.folder
        self.books = Books(self.sweep, planned, self.results, folder, self.display.say, self._raced_out)
        self.books.open(records)
        metric = self.sweep.objective.metric
        self.display.begin(self.sweep.name, metric, expected, len(records), self.books.standings)
        try:
            if len(records) < expected:
                workload.note_outcome(complete=False)
                self._execute([run for run in workload.runs if run not in records], head)
            if self._no_more is not None:
                raise self._no_more
        finally:
            self.books.close()

    def _execute(self, missing: list[Run], head: Head | None) -> None:
        # Ray is imported only when there is something to run: a finished sweep answers at once.
        from experiments.scheduling.cluster import Cluster, available, execute, fitting, on_cluster

        resources = self.sweep.resources
        slots = None if resources.slots == "auto" else resources.slots
        session = SessionLog(self.workload.ledger.root)
        attendant = Attendant(self.workload, self.books, self.display, session, self._spec)
        field = self.workload.field
        agenda = self.agenda = Agenda(self.workload, missing, partial(self._more, attendant), self._gpu_memory)

        def run_all(cluster: Cluster) -> None:
            self.interruption.listen()  # Ray has put its own handlers in place of ours
            self.interruption.deferred = True
            packing = agenda.pack(*available())
            session.slots = fitting(*packing.typical(self.workload.planned), *cluster.capacity, most=slots)
            self._began = True
            execute(
                agenda.queue,
                attendant,
                lambda run: self._spec(run).to_json(),
                cpus=packing.least.cpus,
                gpus=packing.least.gpus,
                slots=slots,
                check=self._check,
                execution=self.execution,
                timeout=resources.timeout,
                room=Room(self.results),
                cluster=cluster,
                until=(lambda run: None) if field is None else field.marshal.until,
                claim=agenda.claim if packing.packs else None,
            )

        try:
            if self.workload.depot is not None:
                for run in missing:
                    self._spec(run)  # what runs read goes to the store now, not while Ray waits
            on_cluster(run_all, self.wishes.address, head, self._lost)
        except StoreLost as lost:
            raise lost.error from None
        except SystemExit:
            # Ray's answer to SIGTERM while it starts, which takes seconds, and its handler stands in place of ours.
            raise Interrupted(signal.SIGTERM) from None
        finally:
            session.close()
        self.interruption.deferred = False

    def _more(self, attendant: Attendant) -> list[Run]:
        """The runs of the next configuration of the search, taken into all books; none when there is none."""
        while True:
            try:
                drawn = self.workload.draw()
            except UserError as error:
                self._no_more = error  # raised when what is running has ended: Ray would make a riddle of it
                return []
            if drawn is None:
                return []
            planned, failed = drawn
            self.books.add(planned)
            self.display.total = self.workload.expected
            if failed is None:
                return [Run(planned.id, fold) for fold in range(planned.folds)]
            for run, record in failed.items():
                attendant.ended(Run(*run), record)

    def _check(self) -> None:
        self.interruption.check()
        self.books.catch_up()

    def _raced_out(self) -> Collection[str]:
        field = self.workload.field
        return () if field is None else field.stopped

    def _spec(self, run: Run) -> RunSpec:
        assert self.agenda is not None, "runs are specified when they are executed"
        return self.workload.spec(run, self.agenda.claim(run))

    @property
    def _refused(self) -> bool:
        """Whether the budget has kept runs from beginning."""
        spending = None if self.agenda is None else self.agenda.spending
        return spending is not None and bool(spending.refused)

    def _undecided(self) -> str:
        """What the budget has left over."""
        opened = self.workload.opened(self.books.leaderboard)
        decided = {run[0] for run, record in opened.records.items() if record.status == "failed"} | {*self._raced_out()}
        left = {run.configuration for run in self.workload.runs if run not in opened.records} - decided
        return leftover(self.sweep.search.budget, opened.left, len(left), opened.undrawn)

    def _lost(self, reason: str) -> None:
        self.interruption.deferred = False  # what follows may wait for a while
        self.interruption.check()
        self.display.say(f"{reason}; the sweep goes on with another")

    def _tell(self, page: Path | None, error: Exception | None = None) -> None:
        """Tells whom the sweep file names that the sweep has ended. error: what has stopped it before its end."""
        notify = self.sweep.notify
        if notify.command is None and notify.webhook is None:
            return
        from experiments.report.answer import Answer, answer_of

        opened = self.workload.opened(self.books.leaderboard)
        failed = sum(record.status == "failed" for record in opened.records.values())
        said = answer_of(opened) if error is None else Answer(f"It stopped before its end: {error}")
        message = Message(
            sweep=self.sweep.name,
            question=self.sweep.question,
            ending="error" if error is not None else "failed" if failed else "budget" if self._refused else "complete",
            sentence=said.sentence,
            remarks=said.caveats,
            runs=self.workload.expected,
            done=len(opened.records),
            failed=failed,
            leaderboard=self.results / f"{self.sweep.name}.csv",
            report=page,
        )
        send(message, notify, self.display.say)

    def _conclude(self, page: Path | None) -> int:
        """The last lines on the screen, and the exit code. page: the report, if there is one."""
        records, expected = self.workload.records(), self.workload.expected
        failed = {run: record for run, record in records.items() if record.status == "failed"}
        stopped = len(self._raced_out())
        self.console.print(standings_table(self.books.standings(), self.sweep.objective.metric))
        for run, record in failed.items():
            where = self.workload.ledger.folder(*run)
            self.display.say(f"failed: {self.workload.name(Run(*run))}, fold {run[1]}: {record.error} ({where})")
        self.display.say(
            f"{len(records) - len(failed)} of {expected} runs complete"
            + (f"; {stopped} of {len(self.workload.planned)} configurations were raced out" if stopped else "")
            + (f", {len(failed)} failed; --retry-failed repeats them" if failed else "")
        )
        if (spent := balance_of(self.workload.opened(self.books.leaderboard))) is not None:
            self.display.say(slot_time(spent))
        if self._refused:
            self.display.say(self._undecided())
        report = f"\nReport:      {shown(page)}" if page is not None else ""
        self.display.say(f"Leaderboard: {shown(self.results / f'{self.sweep.name}.csv')}{report}")
        self.display.say(f"Dashboard:   optuna-dashboard sqlite:///{shown(self.results / STUDY_FILE)}")
        return 1 if failed else 0
