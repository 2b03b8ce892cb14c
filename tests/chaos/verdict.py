"""What a sweep has come to, without what a clock filled in: equal for a disturbed and an undisturbed one."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from experiments.ledger.record import RecordError, read
from tests.conftest import Workspace

WALL_CLOCK = {"train_seconds", "inference_ms", "peak_memory_mb", "seconds"}


def tables_of(workspace: Workspace) -> dict[str, str]:
    """Name -> text of every table, without the columns that a clock or a memory gauge filled."""
    return {name: _without_clock(text) for name, text in workspace.tables().items()}


def trials_of(workspace: Workspace) -> dict[str, Any]:
    """Configuration -> what the study says of it: state, values, parameters, values of the folds."""
    storage = f"sqlite:///{workspace.results / 'optuna.db'}"
    trials = optuna.load_study(study_name="chaos", storage=storage).trials
    found = {t.user_attrs["configuration"]: (t.state.name, t.values, t.params, t.intermediate_values) for t in trials}
    return found if len(found) == len(trials) else {"a configuration has": "several trials"}


def differences(expected: Mapping[str, Any], found: Mapping[str, Any], what: str) -> list[str]:
    """A line for each entry that is missing, not expected, or other than expected."""
    return [
        f"{what} {name}: {_compared(str(expected.get(name)), str(found.get(name)))}"
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    ]


def leftovers(results: Path) -> list[str]:
    """Runs without the files that they must have; those set aside are beside the point."""
    wanted = ("record.json", "cases.csv", "epochs.csv", "best.pt")
    folders = sorted(results.glob("runs/chaos/*/fold-*"))
    return [f"{folder} lacks {name}" for folder in folders for name in wanted if not (folder / name).is_file()]


def unsound(results: Path, runs: Sequence[str]) -> list[str]:
    """What is wrong with the records of runs whose damage has led to nothing: it may only have been to white space."""
    wrong = []
    for run in runs:
        try:
            read(results / "runs/chaos" / run)
        except RecordError as error:
            wrong.append(f"damage that was not noticed: {error}")
    return wrong


def _without_clock(text: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    kept = [column for column, name in enumerate(rows[0]) if name not in WALL_CLOCK] if rows else []
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([row[column] for column in kept] for row in rows)
    return out.getvalue()


def _compared(expected: str, found: str) -> str:
    ours, theirs = found.splitlines(), expected.splitlines()
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if mine != other:
            return f"line {number} is {mine!r} instead of {other!r}"
    return f"{len(ours)} lines instead of {len(theirs)}"
