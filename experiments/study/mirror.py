"""The mirror itself: one trial per configuration, kept equal to its row."""

from __future__ import annotations

import sqlite3
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from experiments.study.database import inode, open_database
from experiments.study.row import CONFIGURATION, StudyRow, can_become, distributions_of, frozen, is_number


class StudyError(RuntimeError):
    """The study could not be read or written. The sweep does not need it and may go on."""


@dataclass
class _Trial:
    """What the mirror remembers of a trial, to spare the database. shown: the last row applied to it."""

    id: int
    state: TrialState
    folds: dict[int, float]
    attributes: dict[str, Any]
    shown: StudyRow | None = None


class StudyMirror:
    """Keeps the study `name` in `storage` equal to the ledger. May be used from several threads.

    storage: the path of an SQLite file, or a database URL. direction: of the objective.
    distributions: varied key -> what its values come from, for a study whose rows are not all known at the
    start; without them each key's is made from its values in all rows.
    Every method raises StudyError if the storage fails.
    """

    def __init__(
        self,
        storage: str | Path,
        name: str,
        direction: Literal["max", "min"],
        objective: str = "",
        distributions: Mapping[str, BaseDistribution] | None = None,
    ) -> None:
        self.name, self.objective, self.distributions = name, objective, distributions
        self.direction = StudyDirection.MAXIMIZE if direction == "max" else StudyDirection.MINIMIZE
        self.path = Path(storage) if "://" not in str(storage) else None
        self._url = f"sqlite:///{self.path}" if self.path is not None else str(storage)
        self._lock = threading.RLock()
        self._storage: BaseStorage | None = None
        self._file: tuple[int, int] | None = None
        self._study = -1
        self._trials: dict[str, _Trial] = {}
        self._placeholder = f"{name}, being rebuilt "

    @property
    def lost(self) -> bool:
        """True if the database has been deleted or replaced since it was opened; `sync` mends it."""
        return self.path is not None and self._storage is not None and self._file != inode(self.path)

    def sync(self, rows: Sequence[StudyRow]) -> None:
        """Makes the study show exactly these configurations, whatever it showed before.

        Trials that a dead driver left RUNNING become what their rows say.
        """
        with self.guarded():
            if self._storage is None or self.lost:
                self._open()
            distributions = distributions_of(rows) if self.distributions is None else self.distributions
            existing = self._existing()
            if existing is None or not self._fits(existing, rows, distributions):
                self._start_over(existing is not None)
                existing = []
            self._trials = {
                trial.user_attrs[CONFIGURATION]: _Trial(
                    trial._trial_id, trial.state, dict(trial.intermediate_values), dict(trial.user_attrs)
                )
                for trial in existing
            }
            for row in rows:
                if row.id in self._trials:
                    self._apply(row)
                else:
                    self._create(row, distributions)
            self._drop_placeholders()

    def add(self, row: StudyRow) -> None:
        """One more configuration, of a study that was made with distributions; one that has a trial is left alone.

        Raises StudyError before the first `sync`.
        """
        if self.distributions is None:
            raise ValueError("what is not known at the start needs distributions that are")
        with self.guarded():
            if row.id not in self._trials and self.storage is not None:
                self._create(row, self.distributions)

    def started(self, configuration: str) -> None:
        """A run of the configuration is under way."""
        with self.guarded():
            trial = self._trials.get(configuration)
            if trial is not None and trial.state is TrialState.WAITING:
                self._set_state(trial, TrialState.RUNNING, None)

    def fold_finished(self, configuration: str, fold: int, value: float) -> None:
        """A fold of the configuration has its record; `value` is the objective, NaN where undefined."""
        with self.guarded():
            self.started(configuration)
            trial = self._trials.get(configuration)
            if trial is not None and not trial.state.is_finished():
                self._set_fold(trial, fold, value)

    def update(self, rows: Iterable[StudyRow]) -> None:
        """Brings the trials of these rows to what they say; costs nothing for rows that say nothing new.

        A trial that has ended stays as it is, and a configuration without a trial stays without:
        both are for `sync`.
        """
        with self.guarded():
            for row in rows:
                trial = self._trials.get(row.id)
                if trial is not None and trial.shown != row:
                    self._apply(row)

    def close(self) -> None:
        """Lets go of the database."""
        with self._lock:
            if isinstance(self._storage, RDBStorage):
                self._storage.remove_session()
                self._storage.engine.dispose()
            self._storage = None

    @property
    def storage(self) -> BaseStorage:
        """The open storage. Raises StudyError before the first `sync`."""
        if self._storage is None:
            raise StudyError("the study is not open: `sync` comes first")
        return self._storage

    @property
    def trial_ids(self) -> dict[str, int]:
        """Configuration -> the storage's id of its trial, as of the last `sync`."""
        return {configuration: trial.id for configuration, trial in self._trials.items()}

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """One thread at a time, and one kind of error, for whoever works on `storage`."""
        with self._lock:
            try:
                yield
            except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError, OSError) as error:
                raise StudyError(f"the study {self.name!r} in {self._url}: {error}") from error

    def _open(self) -> None:
        self.close()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if self.path is None:
            self._storage = RDBStorage(self._url)
            return
        self._storage = open_database(self.path)
        self._file = inode(self.path)

    def _existing(self) -> list[FrozenTrial] | None:
        """The study's trials; None if there is no such study."""
        try:
            self._study = self.storage.get_study_id_from_name(self.name)
        except KeyError:
            return None
        return self.storage.get_all_trials(self._study, deepcopy=False)

    def _fits(
        self, trials: Sequence[FrozenTrial], rows: Sequence[StudyRow], distributions: Mapping[str, BaseDistribution]
    ) -> bool:
        """Whether the existing trials can be brought to what the rows say."""
        wanted = {row.id: row for row in rows}
        found = [trial.user_attrs.get(CONFIGURATION) for trial in trials]
        return (
            self.storage.get_study_directions(self._study) == [self.direction]
            and len(set(found)) == len(found)
            and all(
                configuration in wanted and can_become(trial, wanted[configuration], distributions)
                for configuration, trial in zip(found, trials, strict=True)
            )
        )

    def _start_over(self, replace: bool) -> None:
        """An empty study in place of any that there is."""
        if replace:
            # SQLite gives the numbers of deleted rows out again, and a dashboard that is open would
            # show the old trials under them. A study made before the deletion keeps the numbers rising.
            holder = self.storage.create_new_study([self.direction], f"{self._placeholder}{time.time_ns()}")
            self.storage.create_new_trial(holder)
            self.storage.delete_study(self._study)
        self._study = self.storage.create_new_study([self.direction], self.name)
        self.storage.set_study_user_attr(self._study, "objective", self.objective)
        if self.objective:
            # Without a name the dashboard calls its axes "Objective 0".
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                optuna.load_study(study_name=self.name, storage=self.storage).set_metric_names([self.objective])

    def _drop_placeholders(self) -> None:
        """Deletes what `_start_over` left, here or in a driver that was killed."""
        for study in self.storage.get_all_studies():
            if study.study_name.startswith(self._placeholder):
                self.storage.delete_study(study._study_id)

    def _create(self, row: StudyRow, distributions: Mapping[str, BaseDistribution]) -> None:
        template = frozen(row, distributions)
        number = self.storage.create_new_trial(self._study, template)
        self._trials[row.id] = _Trial(
            number, row.state, dict(template.intermediate_values), dict(template.user_attrs), row
        )

    def _apply(self, row: StudyRow) -> None:
        """Brings an unfinished trial to what its row says; attributes first, since an end is final."""
        trial = self._trials[row.id]
        if not trial.state.is_finished():
            for fold, value in row.folds.items():
                self._set_fold(trial, fold, value)
            for key, value in row.user_attributes.items():
                if key not in trial.attributes or trial.attributes[key] != value:
                    self.storage.set_trial_user_attr(trial.id, key, value)
                    trial.attributes[key] = value
            if trial.state is not row.state:
                self._set_state(trial, row.state, row.values)
        trial.shown = row

    def _set_fold(self, trial: _Trial, fold: int, value: float) -> None:
        if is_number(value) and trial.folds.get(fold) != value:
            self.storage.set_trial_intermediate_value(trial.id, fold, float(value))
            trial.folds[fold] = float(value)

    def _set_state(self, trial: _Trial, state: TrialState, values: Sequence[float] | None) -> None:
        # Optuna notes the start of a trial on its way from WAITING to RUNNING only.
        if state.is_finished() and trial.state is TrialState.WAITING:
            self.storage.set_trial_state_values(trial.id, TrialState.RUNNING)
        self.storage.set_trial_state_values(trial.id, state, values)
        trial.state = state
