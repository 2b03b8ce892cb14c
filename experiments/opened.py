"""A sweep as it stands: what its file says, laid over what its ledger has. Nothing is run, nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.leaderboard import Entry, Leaderboard
from experiments.ledger import Ledger, Record
from experiments.preparation import PlannedConfiguration, StageProgress, Survey, open_sources, survey
from experiments.search import planned_in
from experiments.sweep import Sweep
from utils.errors import Problem, UserError

Run = tuple[str, int]
"""A configuration's id and a fold."""


@dataclass(frozen=True)
class OpenedSweep:
    """A sweep with everything that is known of it.

    results: the folder of its files, absolute. planned: its configurations, those drawn from a space included.
    records: of the runs that have ended. leaderboard: filled from them. undrawn: configurations still to be drawn.
    """

    sweep: Sweep
    results: Path
    ledger: Ledger
    found: Survey
    planned: tuple[PlannedConfiguration, ...]
    records: Mapping[Run, Record]
    leaderboard: Leaderboard
    undrawn: int = 0

    @property
    def runs(self) -> list[Run]:
        """Every run that is known, whether it has ended or not."""
        return runs_of(self.planned)

    @property
    def complete(self) -> bool:
        """Whether every run of the sweep has its record."""
        return not self.undrawn and len(self.records) == len(self.runs)


def open_sweep(sweep: Sweep, results: Path, on_progress: StageProgress) -> OpenedSweep:
    """Opens the data of `sweep`, whose hashes name its configurations, and reads their records.

    Raises UserError for data that cannot be used, and where no run of the sweep has ended.
    """
    ledger = Ledger(results.absolute(), sweep.name)
    if not ledger.root.is_dir():
        raise UserError(Problem(str(ledger.root), f"nothing of the sweep {sweep.name} has run yet"))
    found = survey(sweep, open_sources(sweep, on_progress))
    planned, undrawn = planned_in(sweep, found, ledger)
    records = ledger.records(runs_of(planned))
    if not records:
        message = f"no run of the sweep {sweep.name}, as its file and data are now, has ended; other runs may have"
        raise UserError(Problem(str(ledger.root), message))
    leaderboard = leaderboard_of(sweep, planned, ledger.folder)
    leaderboard.update(records)
    return OpenedSweep(sweep, results.absolute(), ledger, found, tuple(planned), records, leaderboard, undrawn)


def runs_of(planned: Sequence[PlannedConfiguration]) -> list[Run]:
    """All runs of these configurations, configuration by configuration."""
    return [(one.id, fold) for one in planned for fold in range(one.folds)]


def leaderboard_of(
    sweep: Sweep, planned: Sequence[PlannedConfiguration], folder: Callable[[str, int], Path]
) -> Leaderboard:
    """The leaderboard of a sweep, still empty. folder: where the ledger keeps a run's files."""
    # What is drawn later has the columns that the sweep file says.
    varied = None if sweep.space is None else sweep.varied
    entries = [entry_of(one) for one in planned]
    metric, mode = sweep.objective.metric, sweep.objective.mode
    return Leaderboard(sweep.name, entries, metric, mode, folder, varied=varied, margin=sweep.racing.margin)


def entry_of(planned: PlannedConfiguration) -> Entry:
    """The leaderboard's entry of a configuration."""
    configuration = planned.configuration
    return Entry(planned.id, configuration.name, configuration.varied, tuple(range(planned.folds)))
