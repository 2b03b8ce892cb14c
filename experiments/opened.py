"""A sweep as it stands: what its file says, laid over what its ledger has. Nothing is run, nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.leaderboard import Entry, Leaderboard
from experiments.ledger import Ledger, Record
from experiments.preparation import PlannedConfiguration, StageProgress, Survey, open_sources, survey
from experiments.racing import RUNG_SHARE, Field, Rules
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
    left: runs of known configurations that are still to end; of those that racing has stopped there are none.
    """

    sweep: Sweep
    results: Path
    ledger: Ledger
    found: Survey
    planned: tuple[PlannedConfiguration, ...]
    records: Mapping[Run, Record]
    leaderboard: Leaderboard
    undrawn: int = 0
    left: int = 0

    @property
    def expected(self) -> int:
        """How many runs there are, those that are still to end included."""
        return len(self.records) + self.left

    @property
    def complete(self) -> bool:
        """Whether every run of the sweep has its record."""
        return not self.undrawn and not self.left


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
    field = field_of(sweep, planned, ledger, records)
    left = len(runs_of(planned)) - len(records) if field is None else len(field.race.left())
    leaderboard = leaderboard_of(sweep, planned, ledger.folder)
    leaderboard.update(records, raced_out=() if field is None else field.stopped)
    return OpenedSweep(sweep, results.absolute(), ledger, found, tuple(planned), records, leaderboard, undrawn, left)


def field_of(
    sweep: Sweep, planned: Sequence[PlannedConfiguration], ledger: Ledger, records: Mapping[Run, Record]
) -> Field | None:
    """The race of a sweep as its records have it; None where there is none.

    Raises UserError if the configurations were not tested on the same cases.
    """
    if not sweep.racing.enabled or not planned:
        return None
    if len({(one.source.data, one.split.hash, one.folds) for one in planned}) > 1:
        message = "the configurations have different data or folds, and what is tested on other cases cannot race"
        raise UserError(Problem("racing.enabled", message))
    if sweep.racing.epochs == "asha" and sweep.resources.storage is not None:
        message = "is not available with resources.storage, from which a run's epochs come only at its end"
        raise UserError(Problem("racing.epochs", message, value="asha"))
    racing = sweep.racing
    at_rung = RUNG_SHARE if racing.epochs == "asha" else 1.0
    rules = Rules(racing.alpha, racing.margin, rung_share=at_rung, fold_share=racing.fold_share)
    epochs = min(one.configuration.settings.training.epochs for one in planned)
    runners = [(one.id, one.folds) for one in planned]
    field = Field(runners, sweep.objective.metric, sweep.objective.mode, rules, epochs, ledger.folder)
    field.fill(records)
    return field


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
