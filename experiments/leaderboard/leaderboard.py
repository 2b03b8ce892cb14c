"""The ranked table of a sweep, worked out from the ledger's records and nothing else.

It can be deleted and made again at any time, to the byte; wall-clock columns are as recorded. What
one configuration achieved is worked out once, when its last fold is in the ledger, so that one more
finished run costs little however long the table is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.leaderboard.cases import read_cases
from experiments.leaderboard.concatenation import Concatenation, Source
from experiments.leaderboard.entry import Entry, Standing, cell, setting_cell
from experiments.leaderboard.summary import Summarizer, Summary, compare
from experiments.ledger.record import CHECKPOINT, Record
from experiments.statistics import RESAMPLES, corrected_t_tests, holm, tied_with_best
from utils.files import write_text_atomically
from utils.metrics import METRICS

Status = Literal["complete", "raced_out", "failed", "running", "pending"]
STATUSES: tuple[Status, ...] = ("complete", "raced_out", "failed", "running", "pending")

COST_COLUMNS = ("params_millions", "gflops", "epochs", "train_seconds", "inference_ms", "peak_memory_mb")
"""Means over the folds, but for `train_seconds` (their sum) and `peak_memory_mb` (their maximum)."""
ORIGIN_COLUMNS = ("adjustments", "code", "data", "split")
RUN_COLUMNS = ("best_epoch", *COST_COLUMNS, *ORIGIN_COLUMNS, "seed", "error")

SIGNS = {"max": 1, "min": -1}

Run = tuple[str, int]
"""A configuration's id and a fold."""


@dataclass
class Line:
    """What is known of one entry; made anew only when one of its records has changed."""

    entry: Entry
    position: int
    records: tuple[Record | None, ...] = ()
    status: Status = "pending"
    summary: Summary | None = None
    rank: int | None = None
    p_vs_best: float = float("nan")
    tied: bool = False
    cells: tuple[str, ...] = ()
    """The row's cells but for rank, status, p_vs_best and tied_with_best."""
    run_cells: tuple[tuple[str, ...] | None, ...] = ()
    """For each fold the cells from the first metric on; None without a record."""

    @property
    def finished(self) -> list[Record]:
        """The records of folds that completed, in order of fold."""
        return [record for record in self.records if record is not None and record.status == "complete"]


class Leaderboard:
    """The table of one sweep.

    objective, direction: what rows are ranked by. entries: in the order of the sweep file.
    folder: where the ledger keeps a run's files (``Ledger.folder``). varied: the columns of what varies; without it
    those that the entries have.
    """

    def __init__(
        self,
        sweep: str,
        entries: Sequence[Entry],
        objective: str,
        direction: Literal["max", "min"],
        folder: Callable[[str, int], Path],
        resamples: int = RESAMPLES,
        varied: Sequence[str] | None = None,
    ) -> None:
        self.sweep, self.objective, self.direction = sweep, objective, direction
        self.entries = tuple(entries)
        found = (key for entry in entries for key in entry.varied)
        self.varied = tuple(dict.fromkeys(found if varied is None else varied))
        self._folder = folder
        self._lines = [Line(entry, position) for position, entry in enumerate(entries)]
        self._positions = {entry.id: position for position, entry in enumerate(entries)}
        self._running: frozenset[Run] = frozenset()
        self._summarizer = Summarizer(sweep, objective, resamples)
        self._compared: dict[str, tuple[Summary, Summary, float]] = {}
        self._tables: dict[Path, Concatenation] = {}
        self.update({})

    def add(self, entry: Entry) -> None:
        """One more entry, at the end. Raises ValueError if it is there or has keys without a column."""
        if entry.id in self._positions or not set(entry.varied) <= set(self.varied):
            raise ValueError(f"{entry.id} ({entry.name}) cannot be added")
        self._positions[entry.id] = len(self._lines)
        line = Line(entry, len(self._lines))
        self._lines.append(line)
        self.entries = (*self.entries, entry)
        self._fill(line, (None,) * len(entry.folds))

    def update(
        self, records: Mapping[Run, Record], running: Collection[Run] = (), raced_out: Collection[str] = ()
    ) -> None:
        """Takes in the ledger as it is now; only what has changed since the last call costs anything.

        records: all of them, by (configuration id, fold); those of other configurations are ignored.
        running: runs under way. raced_out: ids of configurations that racing has stopped.
        """
        self._running = frozenset(running)
        under_way = {configuration for configuration, _ in self._running}
        for line in self._lines:
            found = tuple(records.get((line.entry.id, fold)) for fold in line.entry.folds)
            changed = len(found) != len(line.records) or any(
                new is not old for new, old in zip(found, line.records, strict=True)
            )
            if changed:
                self._fill(line, found)
            line.status = _status(line, line.entry.id in under_way, line.entry.id in raced_out)
        self._rank()

    def line(self, configuration: str) -> Line:
        """The line of a configuration. Raises KeyError if the sweep has none of that id."""
        return self._lines[self._positions[configuration]]

    def checkpoint(self, configuration: str, fold: int) -> Path:
        """Where a run's best weights are."""
        return self._folder(configuration, fold) / CHECKPOINT

    def ranked(self) -> list[Line]:
        """Every line: the ranked ones by rank, then by status, then as in the sweep file."""
        return sorted(
            self._lines,
            key=lambda line: (line.rank or len(self._lines) + 1, STATUSES.index(line.status), line.position),
        )

    def write(self, results: Path) -> None:
        """Writes ``<sweep>.csv``, ``_folds``, ``_epochs`` and ``_cases`` into the folder, each atomically."""
        write_text_atomically(results / f"{self.sweep}.csv", self.as_csv())
        write_text_atomically(results / f"{self.sweep}_folds.csv", self._folds_csv())
        # Fold by fold, as runs are scheduled: a new run then mostly goes to the end of these long files.
        finished = [
            (record, line.entry.id)
            for fold in sorted({fold for entry in self.entries for fold in entry.folds})
            for line in self._lines
            for record in line.finished
            if record.fold == fold
        ]
        for name in ("epochs", "cases"):
            path = results / f"{self.sweep}_{name}.csv"
            self._tables.setdefault(path, Concatenation(path)).write(
                [
                    Source(
                        configuration,
                        record.fold,
                        record.files[f"{name}.csv"].sha256 if f"{name}.csv" in record.files else record.finished,
                        self._folder(configuration, record.fold) / f"{name}.csv",
                    )
                    for record, configuration in finished
                ]
            )

    def as_csv(self) -> str:
        """The leaderboard's own file."""
        scores = [f"{name}_{part}" for name in METRICS for part in ("mean", "std", "ci_low", "ci_high")]
        head = ("rank", "configuration", "status", *self.varied, "folds", *scores)
        before = 1 + len(self.varied) + 1 + len(scores)
        rows = [
            (
                cell(line.rank),
                line.cells[0],
                line.status,
                *line.cells[1:before],
                cell(line.p_vs_best),
                cell(line.tied) if line.rank else "",
                *line.cells[before:],
            )
            for line in self.ranked()
        ]
        return _csv([(*head, "p_vs_best", "tied_with_best", *COST_COLUMNS, *ORIGIN_COLUMNS), *rows])

    def as_table(self, top: int = 5) -> list[Standing]:
        """The first `top` ranked rows; then, as provisional ones, those with the most folds done."""
        sign = SIGNS[self.direction]
        standings = []
        for line in self.ranked():
            values = self._objective_values(line)
            if not values:
                continue
            score = f"{np.mean(values):.4f}" + (f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else "")
            folds = f"{len(values)}/{len(line.entry.folds)}"
            standing = Standing(cell(line.rank), line.entry.id, line.entry.name, folds, score, line.tied)
            standings.append(((line.rank or len(self._lines) + 1, -len(values), -sign * np.mean(values)), standing))
        return [standing for _, standing in sorted(standings, key=lambda item: item[0])[:top]]

    def _objective_values(self, line: Line) -> list[float]:
        values = [record.metrics.get(self.objective) for record in line.finished]
        return [value for value in values if value is not None]

    def _fill(self, line: Line, records: tuple[Record | None, ...]) -> None:
        line.records = records
        line.summary = self._summarize(line) if len(line.finished) == len(line.entry.folds) else None
        line.cells = self._cells(line)
        line.run_cells = tuple(None if record is None else _run_cells(record) for record in records)

    def _summarize(self, line: Line) -> Summary:
        runs = zip(line.entry.folds, line.finished, strict=True)
        return self._summarizer.summarize(
            {
                fold: (record.metrics, read_cases(self._folder(line.entry.id, fold) / "cases.csv"))
                for fold, record in runs
            }
        )

    def _rank(self) -> None:
        """Ranks complete rows by the objective; equals by fewer parameters, then by id."""
        sign = SIGNS[self.direction]
        contenders = []
        for line in self._lines:
            line.rank, line.p_vs_best, line.tied = None, float("nan"), False
            # A row without a value of the objective (no lesion in any case, say) cannot be ranked.
            if line.status == "complete" and line.summary and not np.isnan(line.summary.scores[self.objective].mean):
                score = -sign * line.summary.scores[self.objective].mean
                contenders.append((score, line.finished[0].params_millions or 0.0, line.entry.id, line))
        contenders.sort(key=lambda item: item[:3])
        lines = [line for *_, line in contenders]
        for rank, line in enumerate(lines, start=1):
            line.rank = rank
        if lines:
            self._compare_with(lines[0], lines[1:])

    def _compare_with(self, best: Line, others: Sequence[Line]) -> None:
        best.tied = True
        case_p = holm(np.array([self._case_p(line, best) for line in others]))
        fold_p = holm(self._fold_p(best, others))
        for line, p, tied in zip(others, case_p, tied_with_best(case_p, fold_p), strict=True):
            line.p_vs_best, line.tied = float(p), bool(tied)

    def _case_p(self, line: Line, best: Line) -> float:
        """Over cases, unadjusted; remembered until either of the two changes."""
        assert line.summary is not None and best.summary is not None
        known = self._compared.get(line.entry.id)
        if known is None or known[0] is not line.summary or known[1] is not best.summary:
            known = self._compared[line.entry.id] = (line.summary, best.summary, compare(line.summary, best.summary))
        return known[2]

    def _fold_p(self, best: Line, others: Sequence[Line]) -> np.ndarray:
        """Over folds, unadjusted; NaN for lines with another number of folds than the best."""
        scores = [line.summary.objective_folds for line in (best, *others) if line.summary is not None]
        comparable = np.array([row.size == scores[0].size for row in scores])
        ratio = cases_tested_per_trained(best.finished[0], scores[0].size)
        table = np.stack([row for row, fits in zip(scores, comparable, strict=True) if fits])
        p = np.full(len(scores), np.nan)
        p[comparable] = corrected_t_tests(table, 0, ratio)
        return p[1:]

    def _cells(self, line: Line) -> tuple[str, ...]:
        varied = [setting_cell(line.entry.varied[key]) if key in line.entry.varied else "" for key in self.varied]
        scores = []
        for name in METRICS:
            score = line.summary.scores[name] if line.summary else None
            scores += [cell(number) for number in (score.mean, score.std, score.low, score.high)] if score else [""] * 4
        costs = [cell(_cost(name, line)) for name in COST_COLUMNS]
        known = [record for record in line.records if record is not None]
        origins = ["; ".join(dict.fromkeys(text for record in known for text in record.adjustments))]
        origins += ["; ".join(dict.fromkeys(getattr(record, name) for record in known)) for name in ORIGIN_COLUMNS[1:]]
        return (line.entry.id, *varied, str(len(line.finished)), *scores, *costs, *origins)

    def _folds_csv(self) -> str:
        rows: list[Sequence[str]] = [("configuration", "fold", "status", *self.varied, *METRICS, *RUN_COLUMNS)]
        nothing = ("",) * (len(METRICS) + len(RUN_COLUMNS))
        for line in self._lines:
            varied = line.cells[1 : 1 + len(self.varied)]
            for fold, record, cells in zip(line.entry.folds, line.records, line.run_cells, strict=True):
                status = record.status if record is not None else self._run_status(line, fold)
                rows.append((line.entry.id, str(fold), status, *varied, *(cells or nothing)))
        return _csv(rows)

    def _run_status(self, line: Line, fold: int) -> Status:
        if (line.entry.id, fold) in self._running:
            return "running"
        return "raced_out" if line.status == "raced_out" else "pending"


def cases_tested_per_trained(record: Record, folds: int) -> float:
    """Test cases per training case of a k-fold split, validation not counted as training."""
    settings = record.settings.get("folds", {})
    k = folds if settings.get("from") else settings.get("k", folds)
    return 1 / ((k - 1) * (1 - settings.get("validation", 0.0))) if k > 1 else float("nan")


def _status(line: Line, under_way: bool, raced_out: bool) -> Status:
    """One failed fold fails the configuration, whatever else is still going on."""
    if any(record is not None and record.status == "failed" for record in line.records):
        return "failed"
    if line.summary is not None:
        return "complete"
    if raced_out:
        return "raced_out"
    return "running" if under_way else "pending"


def _cost(name: str, line: Line) -> float | None:
    """A cost over the folds; of an incomplete configuration only what no fold can change."""
    values = [value for record in line.finished if (value := getattr(record, name)) is not None]
    if not values or (line.summary is None and name not in ("params_millions", "gflops")):
        return None
    if name == "train_seconds":
        return float(sum(values))
    return float(max(values) if name == "peak_memory_mb" else np.mean(values))


def _run_cells(record: Record) -> tuple[str, ...]:
    """A run's metrics and `RUN_COLUMNS`."""
    details = (getattr(record, name) for name in RUN_COLUMNS)
    return (
        *(cell(record.metrics.get(name)) for name in METRICS),
        *("; ".join(value) if isinstance(value, tuple) else cell(value) for value in details),
    )


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
