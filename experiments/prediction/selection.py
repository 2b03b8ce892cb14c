"""Which networks answer: the winner of a sweep, its first few, or one run of it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.ledger.record import Record, RecordError, read
from experiments.prediction.ensemble import Ensemble, Member
from experiments.prediction.opened import open_network
from experiments.prediction.preparation import Preparation
from experiments.sweep import Settings
from experiments.sweep.file.winners import Winners
from utils.errors import Problem, UserError, nearest

_RUN = re.compile(r"([0-9a-f]{12})(?:/(?:fold-)?([0-9]{1,6}))?")
_PROBABILITY = "probability_"


@dataclass(frozen=True)
class SelectedRun:
    """A run whose network is to answer. folder: that of its record."""

    record: Record
    folder: Path

    @property
    def name(self) -> str:
        """``<configuration>/fold-<i>``."""
        return f"{self.record.configuration}/fold-{self.record.fold}"

    @property
    def settings(self) -> Settings:
        """What it was trained with."""
        return Settings.model_validate(self.record.settings)


@dataclass(frozen=True)
class Selection:
    """runs: those that answer, best configuration first. notes: what a reader must know of the choice."""

    sweep: str
    runs: tuple[SelectedRun, ...]
    notes: tuple[str, ...]


def select_runs(results: Path, sweep: str, run: str | None = None, top: int = 1) -> Selection:
    """The runs of the configuration of rank 1, or of the `top` best ones; or those of one that is named.

    results: the folder. sweep: the name of a sweep, as of its leaderboard. run: ``<configuration id>``, all its folds,
    or ``<configuration id>/fold-<i>``. Raises UserError where there is no such thing, or a record is damaged.
    """
    winners = Winners(results, Path("sweeps"))
    if not winners.has_results(sweep):
        names = winners.names()
        where = f"--sweep (in {results})"
        raise UserError(Problem(where, "no such sweep has results", "", sweep, nearest(sweep, names), names))
    root = results / "runs" / sweep
    notes = [] if winners.is_complete(sweep) else [f"{sweep} is not complete: its best may be another one in the end"]
    if run is not None:
        return Selection(sweep, _named(root, run), tuple(notes))
    table = results / f"{sweep}.csv"
    ranked = [row for row in _rows(table) if row.get("rank")]
    if not ranked:
        raise UserError(Problem(str(table), "no configuration is ranked yet; finish the sweep, or name a --run"))
    ranked.sort(key=lambda row: int(row["rank"]))
    chosen = ranked[:top]
    notes += [_of_tie(ranked)] if top == 1 else [f"the {len(chosen)} best of {len(ranked)} ranked configurations"]
    return Selection(sweep, tuple(each for row in chosen for each in _folds(root, row["configuration"])), (*notes,))


def open_ensemble(selection: Selection, device: torch.device) -> Ensemble:
    """The networks of the runs, on the device. Raises UserError for one that is not usable, or knows other classes."""
    members, classes = [], {}
    for run in selection.runs:
        classes[run.name] = names = _classes(run.folder / "cases.csv")
        network = open_network(run.folder, run.record, len(names) or None)
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        identity = run.record.files["best.pt"].sha256
        members.append(Member(run.name, identity, network, Preparation.of(run.settings)))
    if len(set(classes.values())) > 1:
        told = "; ".join(f"{name}: {', '.join(names) or 'none'}" for name, names in classes.items())
        raise UserError(Problem("--top", f"the configurations do not know the same diagnoses ({told})"))
    return Ensemble(tuple(members), next(iter(classes.values())), device)


def _named(root: Path, run: str) -> tuple[SelectedRun, ...]:
    match = _RUN.fullmatch(run)
    known = tuple(sorted(path.name for path in root.iterdir() if _RUN.fullmatch(path.name))) if root.is_dir() else ()
    if match is None or match[1] not in known:
        message = "no such run; give a configuration's id, or <id>/fold-<i>"
        raise UserError(Problem("--run", message, "", run, nearest(run.partition("/")[0], known), known))
    found = _folds(root, match[1])
    if match[2] is None:
        return found
    chosen = tuple(each for each in found if each.record.fold == int(match[2]))
    if not chosen:
        choices = tuple(each.name for each in found)
        raise UserError(Problem("--run", "no such fold has ended", "", run, "", choices))
    return chosen


def _folds(root: Path, configuration: str) -> tuple[SelectedRun, ...]:
    """The complete runs of a configuration, fold by fold."""
    found = []
    for folder in sorted((root / configuration).glob("fold-*"), key=lambda path: (len(path.name), path.name)):
        try:
            record = read(folder)
        except RecordError as error:
            raise UserError(Problem(str(folder), f"{error}; start the sweep again to repeat the run")) from None
        if record is not None and record.status == "complete":
            found.append(SelectedRun(record, folder))
    if not found:
        raise UserError(Problem(str(root / configuration), "no run of this configuration is complete"))
    return tuple(found)


def _of_tie(ranked: list[dict[str, str]]) -> str:
    tied = sum(row.get("tied_with_best") == "true" for row in ranked)
    name = _varied(ranked[0])
    if tied > 1:
        return f"rank 1 is {name}, but {tied - 1} more are tied with it: that it is the best is not proven"
    return f"rank 1 is {name}; no other configuration is tied with it"


def _varied(row: Mapping[str, str]) -> str:
    """The values of what varies, which stand between the status and the folds."""
    columns = list(row)
    values = [row[column] for column in columns[columns.index("status") + 1 : columns.index("folds")]]
    return f"{', '.join(values)} ({row['configuration']})" if any(values) else row["configuration"]


def _rows(table: Path) -> list[dict[str, str]]:
    """The rows of a leaderboard. Raises UserError for one that is missing or no leaderboard."""
    again = "python -m experiments.leaderboard with the sweep's file writes it again"
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(Problem(str(table), f"cannot be read ({error}); {again}")) from None
    for row in rows:
        sound = _RUN.fullmatch(row.get("configuration") or "") and (row.get("rank") or "0").isdecimal()
        if not sound or not {"status", "folds"} <= set(row):
            raise UserError(Problem(str(table), f"is damaged; {again}"))
    return rows


def _classes(table: Path) -> tuple[str, ...]:
    """The names of the diagnoses, in the order of the network's outputs, as a run's ``cases.csv`` has them."""
    with table.open(newline="", encoding="utf-8") as file:
        head = next(csv.reader(file), [])
    return tuple(name.removeprefix(_PROBABILITY) for name in head if name.startswith(_PROBABILITY))
