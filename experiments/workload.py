"""What a sweep has to run: its configurations on their data, what each run needs, and what is left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from experiments.console.display import Display
from experiments.estimates import work_of
from experiments.leaderboard import Leaderboard
from experiments.ledger import Ledger, Record
from experiments.ledger.data import KnownData, SeenData
from experiments.ledger.outcome import read_outcome, write_outcome
from experiments.ledger.record import RECORD_FILE
from experiments.opened import OpenedSweep, field_of
from experiments.preflight import Slot, preflight, record_impossible
from experiments.preflight.network import NetworkCheck
from experiments.preflight.preflight import check_networks, untried
from experiments.preflight.slot import Claim
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
from experiments.preparation.survey import folds_key, source_key
from experiments.racing import Field, Stop
from experiments.scheduling import Run, fold_by_fold
from experiments.search import Search
from experiments.storage.depot import Depot
from experiments.storage.stored_ledger import StoredLedger
from experiments.sweep import Sweep, nested
from experiments.training import TRAINING_VERSION
from experiments.training.spec import RunSpec
from utils.datasets.download import download as download_dataset
from utils.errors import Problem, UserError


class Workload:
    """The runs of one sweep, derived from the sweep file, the data and the ledger. `open` comes first.

    planned: id -> configuration, of all that are known; a search adds to them. heard: called with every run that ends.
    """

    def __init__(self, sweep: Sweep, results: Path, display: Display) -> None:
        self.sweep, self.results, self._display = sweep, results, display
        storage = sweep.resources.storage
        self.depot = None if storage is None else Depot(storage, results, sweep.name)
        here = (results, sweep.name)
        self.ledger = Ledger(*here) if self.depot is None else StoredLedger(*here, self.depot)
        self.planned: dict[str, PlannedConfiguration] = {}
        self.search: Search | None = None
        self._field: Field | None = None
        self._found: Survey
        self._provisioner = Provisioner(sweep.name, results)
        self._provisions: dict[str, Provision] = {}
        self._device = "cpu"
        self._gflops: dict[str, float] = {}
        self._peaks: dict[str, int] = {}
        self.heard: list[Callable[[Run, Record], None]] = []

    @property
    def runs(self) -> list[Run]:
        """All runs that are known: fold by fold, but what was drawn from a space, configuration by configuration."""
        planned = [(planned.id, planned.folds) for planned in self.planned.values()]
        if self.search is None:
            return fold_by_fold(planned)
        return [Run(configuration, fold) for configuration, folds in planned for fold in range(folds)]

    @property
    def expected(self) -> int:
        """How many runs the sweep will have had at its end; of a race, if nobody else is stopped."""
        if self.field is not None:
            return len(self.records()) + len(self.field.race.left())
        return len(self.runs) + (self.search.runs_left if self.search is not None else 0)

    @property
    def field(self) -> Field | None:
        """The race, which knows what the ledger has; None where there is none."""
        if self._field is None:
            self._field = field_of(self.sweep, list(self.planned.values()), self.ledger, self.records())
        return self._field

    def records(self) -> dict[tuple[str, int], Record]:
        """Of all runs that have ended."""
        return self.ledger.records(self.runs)

    def seems_unfinished(self) -> bool:
        """A guess, before the data are read and the runs are known, at whether something will have to run."""
        if self.sweep.racing.enabled:
            outcome = read_outcome(self.ledger.root)
            return outcome is None or not outcome.complete
        folds = [configuration.settings.folds for configuration in self.sweep.configurations]
        expected = sum(each.use or (each.k if each.from_file is None else 1) for each in folds)
        expected *= self.sweep.space.samples if self.sweep.space is not None else 1
        return sum(1 for _ in self.ledger.root.glob(f"*/fold-*/{RECORD_FILE}")) < expected

    def open(self, *, download: bool = False, new_data: bool = False) -> None:
        """Opens the data, writes the audit, draws the folds.

        new_data: whether data and folds may be others than those of the results that are there. Raises UserError if
        they are and may not, and for data that cannot be used.
        """
        if self.depot is not None:
            self.depot.collect()
        if download:
            for name, root in {(c.settings.dataset.name, c.settings.dataset.root) for c in foreseen(self.sweep)}:
                if root is not None:
                    download_dataset(name, root)
        sources = open_sources(self.sweep, self._display.stage)
        audit = self.results / f"{self.sweep.name}_audit.csv"
        for source in sources.values():
            self._display.say(source.audit.summary())
        try:
            self._found = survey(self.sweep, sources)
        except UserError:
            write_audit(sources.values(), audit)  # it says in a table what the messages say
            raise
        # What is refused leaves no trace: the audit that is there belongs to the results.
        if not new_data and (problems := changed_data(self.ledger, self._found)):
            raise UserError(problems)
        write_audit(sources.values(), audit)
        if self.sweep.space is not None:
            self.search = Search(self.sweep, self._found, self.ledger)
        drawn = self._found.planned if self.search is None else self.search.planned
        self.planned = {planned.id: planned for planned in drawn}
        self._field = field_of(self.sweep, drawn, self.ledger, self.records())

    def unfinished(self, retry_failed: bool) -> bool:
        """Whether anything is to be run. retry_failed: whether failed runs are."""
        records = self.records().values()
        return len(records) < self.expected or (retry_failed and any(each.status == "failed" for each in records))

    def make_ready(
        self, slot: Slot, found: Iterable[Problem] = (), *, skip_impossible: bool = False, retry_failed: bool = False
    ) -> None:
        """Finds out whether everything can run, and makes what runs read.

        slot: what one run has. found: problems that are known already. skip_impossible: whether runs that can never
        run are recorded as failed, rather than stop the sweep; those of draws always are. retry_failed: whether failed
        runs are repeated; their records are set aside when nothing stops the sweep. Raises UserError with everything
        that does.
        """
        ledger = Ledger(self.results, self.sweep.name, failures=False) if retry_failed else self.ledger
        wanted = [one for one in self.planned.values() if len(ledger.records(_runs_of(one))) < one.folds]
        previews = self._found.previews
        problems = [*found, *self._provisioner.weights_problems([*wanted, *previews])]
        checked = preflight(wanted, ledger, self.results, slot, self._display.stage, found=problems)
        for warning in checked.warnings:
            self._display.say(f"Warning: {warning}")
        checked.raise_on_problems(skip_impossible or self.search is not None)
        self._device = slot.device
        self._gflops |= checked.gflops
        self._peaks |= checked.memory
        if retry_failed:
            self._forget_failures()
        for id, reason in checked.impossible.items():
            self._skip(self.planned[id], reason)
        self._field = None  # failures have come and gone
        possible = [one for one in wanted if one.id not in checked.impossible]
        self._provisions = self._provisioner.all([*possible, *previews], self._display.stage)

    def keep_data(self) -> None:
        """Writes down which data the results are of from now on."""
        KnownData(self.ledger).keep(_seen(self._found))

    def work(self, configuration: str) -> float:
        """What a run of a configuration has to do, as `work_of` has it; 0 where its network cannot be built."""
        planned = self.planned[configuration]
        if configuration not in self._gflops:
            known = self.ledger.records(_runs_of(planned)).values()
            counted = [record.gflops for record in known if record.gflops is not None]
            self._gflops[configuration] = counted[0] if counted else self._check(planned).gflops
        return work_of(planned, self._gflops[configuration])

    def peak(self, configuration: str) -> int | None:
        """Estimated bytes of tensors at the peak of a configuration's step; None where its network cannot be built."""
        if configuration not in self._peaks:
            self._check(self.planned[configuration])
        return self._peaks.get(configuration)

    def _check(self, planned: PlannedConfiguration) -> NetworkCheck:
        check = check_networks([planned], self._device, _silent)[planned.id]
        self._gflops[planned.id] = check.gflops
        if check.memory is not None:
            self._peaks[planned.id] = check.memory.peak
        return check

    def draw(self) -> tuple[PlannedConfiguration, dict[tuple[str, int], Record] | None] | None:
        """The next configuration of the search, and the new records of its runs if it can never run; None without one.

        One that can never run has failed, as any other draw may: the sampler learns that, and a sweep of days goes
        on. Raises UserError where nothing can be drawn, or its weights are missing.
        """
        planned = self.search.draw() if self.search is not None else None
        if planned is None:
            return None
        check = self._check(planned) if untried([planned], self.ledger) else None
        records = None
        if check is not None and check.memory is None:
            records = self._skip(planned, check.reason)
        else:
            self._provisions[planned.id] = self._provisioner.of(planned)
        self.planned[planned.id] = planned
        return planned, records

    def ended(self, run: Run, record: Record) -> list[str]:
        """A run has its record; returns what that has decided in the race, in words."""
        for hear in self.heard:
            hear(run, record)
        if self.field is None:
            return []
        before = dict(self.field.stopped)
        self.field.ended(run, record)
        return self._decided(before)

    def reached(self, run: Run) -> list[str]:
        """A run has paused at a rung of the race; returns what that has decided."""
        if self.field is None:
            return []
        before = dict(self.field.stopped)
        self.field.reached(run.configuration)
        return self._decided(before)

    def _decided(self, before: Mapping[str, Stop]) -> list[str]:
        now = self.field.stopped if self.field is not None else {}
        names = {one.id: one.configuration.name for one in self.planned.values()}
        stops = [(names[one], stop, names[stop.leader]) for one, stop in now.items() if one not in before]
        return [
            *(f"{names[one]} is in the race again" for one in before if one not in now),
            *(stop.sentence(name, leader) for name, stop, leader in stops),
        ]

    def name(self, run: Run) -> str:
        """The name of a run's configuration, for people."""
        return self.planned[run.configuration].configuration.name

    def spec(self, run: Run, claim: Claim) -> RunSpec:
        """What a worker is told about a run; where there is a store, all that the run reads is there by then.

        claim: what the run occupies.
        """
        planned, provision = self.planned[run.configuration], self._provisions[run.configuration]
        spec = RunSpec(
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
            threads=claim.cpus,
            device="auto" if claim.gpus else "cpu",
            gpus=claim.gpus,
            packed=self.sweep.resources.gpus == "auto" and 0 < claim.gpus < 1,
        )
        return spec if self.depot is None else self.depot.provided(spec)

    def note_outcome(self, *, complete: bool) -> None:
        """Says in the ledger whether other sweeps may build on this one; complete: whether nothing is left to do."""
        records = self.records()
        complete = complete and len(records) == self.expected
        failed = sum(record.status == "failed" for record in records.values())
        configurations, runs = len(self.planned), self.expected if self.field is not None else len(self.runs)
        write_outcome(self.ledger.root, complete=complete, configurations=configurations, runs=runs, failed=failed)

    def opened(self, leaderboard: Leaderboard) -> OpenedSweep:
        """The sweep as it stands now. leaderboard: filled from its records."""
        undrawn = self.search.left if self.search is not None else 0
        records = self.records()
        left = len(self.runs) - len(records) if self.field is None else len(self.field.race.left())
        known = (tuple(self.planned.values()), records, leaderboard, undrawn, left)
        return OpenedSweep(self.sweep, self.results, self.ledger, self._found, *known)

    def _forget_failures(self) -> None:
        """Sets the records of failed runs aside, so that they are repeated."""
        for run, record in self.records().items():
            if record.status == "failed":
                self.ledger.forget_failure(*run)

    def _skip(self, planned: PlannedConfiguration, reason: str) -> dict[tuple[str, int], Record]:
        self._display.say(f"{planned.configuration.name} can never run and is recorded as failed: {reason}")
        return record_impossible(planned, reason, self.ledger)


def changed_data(ledger: Ledger, found: Survey) -> list[Problem]:
    """The data and folds that are others than those of the results in the ledger."""
    return KnownData(ledger).problems(_seen(found))


def _runs_of(planned: PlannedConfiguration) -> list[tuple[str, int]]:
    return [(planned.id, fold) for fold in range(planned.folds)]


def _seen(found: Survey) -> list[SeenData]:
    """Every source with every split of it."""
    seen = {}
    for one in found.planned:
        settings = one.configuration.settings
        words, fold_words = source_key(settings.dataset), folds_key(settings.folds)
        root = settings.dataset.root
        name = one.source.name if root is None else f"{one.source.name} in {root}"
        seen[words, fold_words] = SeenData(
            words, name, one.source.data, one.source.contents, fold_words, one.split.hash
        )
    return list(seen.values())


def _silent(stage: str, done: int, total: int) -> None:
    """One network is tried in a moment."""
