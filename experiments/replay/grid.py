"""A finished sweep as its tables have it: every configuration on every fold, case by case."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import Problem, UserError
from utils.metrics import METRICS


@dataclass(frozen=True, eq=False)
class Grid:
    """M configurations on k folds; larger is better.

    configurations: ids, in the order of the sweep file. names: what varies, in words. seconds: (M, k) of training.
    cases: for each fold (M, N) of each test case, NaN where it has no value; groups: for each fold (N,) integers.
    failed: (M, k), runs that failed; what they have in `cases` is NaN. curves: (M, k, E) the best validation score
    after each epoch, spent: (M, k, E) the share of the run's seconds by then; a run that ended early stays where it
    was. winner: the row of the best configuration. tied: the rows that the leaderboard calls tied with it, the winner
    among them.
    """

    sweep: str
    configurations: tuple[str, ...]
    names: tuple[str, ...]
    seconds: np.ndarray
    cases: tuple[np.ndarray, ...]
    groups: tuple[np.ndarray, ...]
    failed: np.ndarray
    curves: np.ndarray
    spent: np.ndarray
    winner: int
    tied: frozenset[int]

    @property
    def folds(self) -> int:
        """k."""
        return len(self.cases)


def read_grid(results: Path, sweep: str, metric: str, undisturbed: bool = False) -> Grid:
    """Reads ``<sweep>.csv`` and its ``_folds``, ``_epochs`` and ``_cases`` in the folder `results`.

    metric: the objective, one that every case has a share in. undisturbed: every epoch counts as the fastest one of
    its configuration, for sweeps that had other work beside them for a part of the time. Raises UserError for tables
    that are not there, a sweep that is not complete, configurations that were tested on different cases, and any other
    metric.
    """
    if metric not in METRICS or METRICS[metric].kind != "case":
        known = [name for name, each in METRICS.items() if each.kind == "case"]
        message = "must be a metric of cases, which can be resampled: " + ", ".join(known)
        raise UserError(Problem("--metric", message, value=metric))
    sign = 1 if METRICS[metric].direction == "max" else -1
    runs = list(_rows(results / f"{sweep}_folds.csv"))
    configurations = tuple(dict.fromkeys(row["configuration"] for row in runs))
    folds = sorted({int(row["fold"]) for row in runs})
    shape = len(configurations), len(folds)
    place = {(one, fold): (row, column) for row, one in enumerate(configurations) for column, fold in enumerate(folds)}
    seconds, failed = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    for run in runs:
        where = place[run["configuration"], int(run["fold"])]
        if run["status"] not in ("complete", "failed"):
            message = f"its run {run['configuration']}, fold {run['fold']} is {run['status']}; only what is complete"
            raise UserError(Problem(str(results / sweep), message + " can be replayed"))
        seconds[where], failed[where] = float(run["train_seconds"] or 0), run["status"] == "failed"
    if np.isnan(seconds).any():
        raise UserError(
            Problem(str(results / sweep), "its configurations have different folds: there is nothing to race")
        )
    cases, groups = _cases(results / f"{sweep}_cases.csv", metric, place, shape, failed)
    epochs = _epochs(results / f"{sweep}_epochs.csv", f"validation_{metric}", sign, place)
    if undisturbed:
        epochs = _as_fast_as_the_fastest(epochs)
        for where, (_, durations) in epochs.items():
            seconds[where] = durations.sum()
    curves, spent = _courses(epochs, shape)
    board = {row["configuration"]: row for row in _rows(results / f"{sweep}.csv")}
    ranked = {one: int(board[one]["rank"]) for one in configurations if board[one]["rank"]}
    if len(ranked) < 2:
        raise UserError(Problem(str(results / sweep), "fewer than two of its configurations have a rank"))
    return Grid(
        sweep,
        configurations,
        tuple(_name(next(run for run in runs if run["configuration"] == one)) for one in configurations),
        seconds,
        tuple(sign * values for values in cases),
        groups,
        failed,
        curves,
        spent,
        configurations.index(min(ranked, key=ranked.__getitem__)),
        frozenset(row for row, one in enumerate(configurations) if board[one]["tied_with_best"] == "true"),
    )


def _cases(
    path: Path, metric: str, place: dict[tuple[str, int], tuple[int, int]], shape: tuple[int, int], failed: np.ndarray
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Scores (M, N) and groups (N,) of each fold."""
    found: dict[tuple[int, int], dict[str, float]] = {}
    groups: list[dict[str, str]] = [{} for _ in range(shape[1])]
    for line in _rows(path):
        where = place[line["configuration"], int(line["fold"])]
        found.setdefault(where, {})[line["case"]] = float(line[metric]) if line[metric] else math.nan
        groups[where[1]][line["case"]] = line["group"]
    values, codes = [], []
    for fold, members in enumerate(groups):
        table = np.full((shape[0], len(members)), np.nan)
        for row in range(shape[0]):
            scores = found.get((row, fold), {})
            if not failed[row, fold] and scores.keys() != members.keys():
                raise UserError(
                    Problem(str(path), f"fold {fold} was not tested on the same cases by all configurations")
                )
            if scores:
                table[row] = [scores[case] for case in members]
        values.append(table)
        codes.append(np.unique(list(members.values()), return_inverse=True)[1])
    return tuple(values), tuple(codes)


def _epochs(
    path: Path, column: str, sign: int, place: dict[tuple[str, int], tuple[int, int]]
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Of each run its validation scores and the seconds of its epochs."""
    found: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for row in _rows(path):
        score = sign * float(row[column]) if row.get(column) else math.nan
        found.setdefault(place[row["configuration"], int(row["fold"])], []).append((score, float(row["seconds"])))
    return {where: (np.array(epochs)[:, 0], np.array(epochs)[:, 1]) for where, epochs in found.items()}


def _as_fast_as_the_fastest(
    epochs: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]],
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    fastest: dict[int, float] = {}
    for (row, _), (_, seconds) in epochs.items():
        fastest[row] = min(fastest.get(row, math.inf), float(seconds.min()))
    return {where: (scores, np.full(len(scores), fastest[where[0]])) for where, (scores, _) in epochs.items()}


def _courses(
    found: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Best validation scores so far, and shares of seconds, after each epoch: (M, k, E) both."""
    longest = max((len(scores) for scores, _ in found.values()), default=0)
    curves, spent = np.full((*shape, longest), np.nan), np.ones((*shape, longest))
    for where, (scores, seconds) in found.items():
        best = np.fmax.accumulate(scores)
        curves[where] = np.concatenate([best, np.full(longest - best.size, best[-1])])
        spent[where][: seconds.size] = np.cumsum(seconds) / seconds.sum()
    return curves, spent


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)
    except OSError as error:
        raise UserError(Problem(str(path), f"cannot be read: {error.strerror}; is this a sweep's table?")) from None


def _name(run: dict[str, str]) -> str:
    """What varies, from the columns between the status and the first metric."""
    columns = list(run)
    varied = columns[columns.index("status") + 1 : columns.index(next(iter(METRICS)))]
    return ", ".join(run[column] for column in varied) or run["configuration"]
