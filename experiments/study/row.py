"""What the study shows of a configuration, and what Optuna makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from experiments.leaderboard.leaderboard import STATUSES, Leaderboard, Line, Status
from experiments.study.distributions import distributions_over, parameters_of
from utils.metrics import METRICS

STATES: Mapping[Status, TrialState] = dict(
    zip(
        STATUSES,
        (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING),
        strict=True,
    )
)
"""Leaderboard status -> Optuna state."""

CONFIGURATION = "configuration"
"""The user attribute by which a trial is found."""


@dataclass(frozen=True)
class StudyRow:
    """A configuration as the study shows it.

    varied: dotted key -> value; they become the trial's parameters.
    folds: fold -> the objective on it, for finished folds; they become intermediate values.
    value: the mean over the folds; needed by ``complete``, optional for ``raced_out``, else not shown.
    attributes: anything else (JSON-like); None and NaN are left out.
    started, finished: ISO times of the first run's start and the last one's end, where known.
    """

    id: str
    name: str
    varied: Mapping[str, Any] = field(default_factory=dict)
    status: Status = "pending"
    folds: Mapping[int, float] = field(default_factory=dict)
    value: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    finished: str = ""

    @property
    def state(self) -> TrialState:
        """The trial's state. A configuration of which some folds are done is being evaluated: RUNNING."""
        if self.status == "pending" and self.folds:
            return TrialState.RUNNING
        # Optuna has no complete trial without a value; such a configuration cannot be ranked either.
        if self.status == "complete" and not is_number(self.value):
            return TrialState.FAIL
        return STATES[self.status]

    @property
    def values(self) -> list[float] | None:
        """The objective in Optuna's form."""
        shown = self.state in (TrialState.COMPLETE, TrialState.PRUNED) and is_number(self.value)
        return [float(self.value)] if shown and self.value is not None else None

    @property
    def user_attributes(self) -> dict[str, Any]:
        """All user attributes of the trial."""
        return {
            CONFIGURATION: self.id,
            "name": self.name,
            **({"status": self.status} if self.state.is_finished() else {}),
            **{key: _plain(value) for key, value in self.varied.items() if key != "name"},
            **{key: plain for key, value in self.attributes.items() if (plain := _plain(value)) is not None},
        }


def rows_of(leaderboard: Leaderboard) -> list[StudyRow]:
    """The study's rows from the leaderboard's lines, in the order of the sweep file."""
    return [row_of(leaderboard, line) for line in sorted(leaderboard.ranked(), key=lambda line: line.position)]


def row_of(leaderboard: Leaderboard, line: Line) -> StudyRow:
    """One line of the leaderboard as the study shows it, with costs, origin and checkpoints."""
    done = line.finished
    values = {record.fold: record.metrics.get(leaderboard.objective) for record in done}
    folds = {fold: value for fold, value in values.items() if value is not None}
    attributes: dict[str, Any] = {}
    if line.summary is not None:
        attributes |= {name: line.summary.scores[name].mean for name in METRICS}
        attributes["train_seconds"] = sum(record.train_seconds for record in done)
    if done:
        attributes |= {name: getattr(done[0], name) for name in ("params_millions", "gflops", "code", "data", "split")}
        attributes["checkpoints"] = [str(leaderboard.checkpoint(line.entry.id, record.fold)) for record in done]
    attributes["errors"] = [record.error for record in line.records if record is not None and record.error] or None
    mean = line.summary.scores[leaderboard.objective].mean if line.summary is not None else None
    if line.status == "raced_out" and folds:
        mean = float(np.mean(list(folds.values())))
    known = [record for record in line.records if record is not None]
    return StudyRow(
        line.entry.id,
        line.entry.name,
        line.entry.varied,
        line.status,
        folds,
        mean,
        attributes,
        min((record.started for record in known if record.started), default=""),
        max((record.finished for record in known if record.finished), default=""),
    )


def distributions_of(rows: Sequence[StudyRow]) -> dict[str, BaseDistribution]:
    """Each varied key's distribution, which holds all its values in the sweep."""
    return distributions_over(row.varied for row in rows)


def frozen(row: StudyRow, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """The trial that a row describes; its number and id are the storage's to give."""
    parameters = parameters_of(row.varied)
    started = _time(row.started) or datetime.now()
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=row.state,
        value=None,
        values=row.values,
        datetime_start=None if row.state is TrialState.WAITING else started,
        datetime_complete=(_time(row.finished) or started) if row.state.is_finished() else None,
        params=parameters,
        distributions={key: distributions[key] for key in parameters},
        user_attrs=row.user_attributes,
        system_attrs={},
        intermediate_values={fold: float(value) for fold, value in row.folds.items() if is_number(value)},
    )


def can_become(trial: FrozenTrial, row: StudyRow, distributions: Mapping[str, BaseDistribution]) -> bool:
    """Whether Optuna lets the trial become what the row says."""
    wanted = frozen(row, distributions)
    if trial.distributions != wanted.distributions or trial.params != wanted.params:
        return False
    if not set(trial.user_attrs) <= set(wanted.user_attrs):
        return False
    if not set(trial.intermediate_values) <= set(wanted.intermediate_values):
        return False
    return not trial.state.is_finished() or (
        (trial.state, trial.values) == (wanted.state, wanted.values)
        and trial.user_attrs == wanted.user_attrs
        and trial.intermediate_values == wanted.intermediate_values
    )


def is_number(value: float | None) -> bool:
    """Neither None nor NaN."""
    return value is not None and not math.isnan(value)


def _plain(value: Any) -> Any:
    """As JSON has it, so that what is read back equals what was written; NaN is None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _time(text: str) -> datetime | None:
    """Local time without a zone, as Optuna wants it; None if it cannot be read."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment
    return None
