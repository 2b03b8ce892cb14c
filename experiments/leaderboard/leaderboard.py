"""The ranked table of a sweep, worked out from the ledger's records and nothing else.

It can be deleted and made again at any time, to the byte; wall-clock columns are as recorded. What
one configuration achieved is worked out once, when its last fold is in the ledger, so that one more
finished run costs little however long the table is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.leaderboard.cases import RunCases, read_cases
from experiments.leaderboard.concatenation import Concatenation, Source
from experiments.leaderboard.contest import Contest
from experiments.leaderboard.entry import Entry, Standing, cell
from experiments.leaderboard.lead import Lead
from experiments.leaderboard.line import STATUSES, Line, Status, status_of
from experiments.leaderboard.ranking import Ranking, ranking_of
from experiments.leaderboard.summary import Summarizer, Summary
from experiments.leaderboard.tables import Tables
from experiments.ledger.record import CHECKPOINT, TABLES, Record, RecordError, seal
from experiments.statistics import RESAMPLES
from utils.files import write_text_atomically

__all__ = ["CONTENDERS", "STATUSES", "Leaderboard", "Line", "Run", "Status"]

CONTENDERS = 20
"""Ranks with intervals of every metric; rows further down have that of the objective, which all rows have.

Two dozen metrics of 10,000 resamples take tenths of a second for each row, and nobody reads them of rank 2,000.
"""

SIGNS = {"max": 1, "min": -1}

_AT_ONCE = 64
"""Configurations summarized together: enough for a matrix product, few enough to be held in memory."""

Run = tuple[str, int]
"""A configuration's id and a fold."""


class Leaderboard:
    """The table of one sweep.

    objective, direction: what rows are ranked by. entries: in the order of the sweep file.
    folder: where the ledger keeps a run's files (``Ledger.folder``). varied: the columns of what varies; without it
    those that the entries have. margin: a difference of the objective up to it is a tie.
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
        margin: float = 0.0,
    ) -> None:
        self.sweep, self.objective, self.direction, self.margin = sweep, objective, direction, margin
        self.entries = tuple(entries)
        found = (key for entry in entries for key in entry.varied)
        self.varied = tuple(dict.fromkeys(found if varied is None else varied))
        self.folder = folder
        self._lines = [Line(entry, position) for position, entry in enumerate(entries)]
        self._positions = {entry.id: position for position, entry in enumerate(entries)}
        self._running: frozenset[Run] = frozenset()
        self.raced_out: frozenset[str] = frozenset()
        """Configurations that racing has stopped, as of the last `update`."""
        self._summarizer = Summarizer(sweep, objective, resamples)
        self._lead = Lead(SIGNS[direction])
        self._contest = Contest(objective, SIGNS[direction], margin)
        self._detailed: dict[str, tuple[Summary, Summary]] = {}
        self._tables = Tables(self.varied)
        self._sources: dict[str, dict[Run, Source]] = {name: {} for name in TABLES}
        self._written: dict[Path, Concatenation] = {}
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
        self._tables.take_in(line)

    def update(
        self, records: Mapping[Run, Record], running: Collection[Run] = (), raced_out: Collection[str] = ()
    ) -> None:
        """Takes in the ledger as it is now; only what has changed since the last call costs anything.

        records: all of them, by (configuration id, fold); those of other configurations are ignored.
        running: runs under way. raced_out: ids of configurations that racing has stopped.
        """
        self._running, self.raced_out = frozenset(running), frozenset(raced_out)
        under_way = {configuration for configuration, _ in self._running}
        filled = []
        for line in self._lines:
            found = tuple(records.get((line.entry.id, fold)) for fold in line.entry.folds)
            changed = len(found) != len(line.records) or any(
                new is not old for new, old in zip(found, line.records, strict=True)
            )
            if changed:
                self._fill(line, found)
                filled.append(line)
        self._summarize(filled)
        for line in filled:
            self._tables.take_in(line)
        for line in self._lines:
            line.status = status_of(line, line.entry.id in under_way, line.entry.id in self.raced_out)
        ranked = self._contest.judge(self._lines, self._lead)
        self._detail(ranked)

    def line(self, configuration: str) -> Line:
        """The line of a configuration. Raises KeyError if the sweep has none of that id."""
        return self._lines[self._positions[configuration]]

    def checkpoint(self, configuration: str, fold: int) -> Path:
        """Where a run's best weights are."""
        return self.folder(configuration, fold) / CHECKPOINT

    def ranked(self) -> list[Line]:
        """Every line: the ranked ones by rank, then by status, then as in the sweep file."""
        return sorted(
            self._lines,
            key=lambda line: (line.rank or len(self._lines) + 1, STATUSES.index(line.status), line.position),
        )

    @property
    def ranking(self) -> Ranking | None:
        """Friedman's test and Nemenyi's critical difference over the ranked lines; None for fewer than three."""
        found = [(line.entry.id, line.summary.objective) for line in self.ranked() if line.rank and line.summary]
        return ranking_of([id_ for id_, _ in found], [objective for _, objective in found], SIGNS[self.direction])

    def write(self, results: Path, whole: bool = True) -> None:
        """Writes ``<sweep>.csv``, ``_folds``, ``_epochs`` and ``_cases`` into the folder, each atomically.

        whole: without it the two long ones may lack the latest runs (`Concatenation.write`).
        """
        write_text_atomically(results / f"{self.sweep}.csv", self.as_csv())
        write_text_atomically(results / f"{self.sweep}_folds.csv", self._tables.folds_csv(self._lines, self._running))
        # Fold by fold, as runs are scheduled: a new run then mostly goes to the end of these long files.
        finished = [
            (line.entry.id, fold)
            for fold in sorted({fold for entry in self.entries for fold in entry.folds})
            for line in self._lines
            if (line.entry.id, fold) in self._sources[TABLES[0]]
        ]
        for name, sources in self._sources.items():
            path = results / f"{self.sweep}_{name}"
            self._written.setdefault(path, Concatenation(path)).write([sources[run] for run in finished], whole)

    def as_csv(self) -> str:
        """The leaderboard's own file."""
        return self._tables.leaderboard_csv(self.ranked())

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
        """Takes in a line's own records; `_summarize` makes of them what they achieved."""
        id_ = line.entry.id
        line.records, line.summary = records, None
        self._detailed.pop(id_, None)
        self._lead.leave(id_)
        for fold, record in zip(line.entry.folds, records, strict=True):
            complete = record is not None and record.status == "complete"
            folder = self.folder(id_, fold) if complete else None
            for name, sources in self._sources.items():
                sources.pop((id_, fold), None)
                if record is not None and folder is not None:
                    sources[id_, fold] = Source.of(record, name, folder)

    def _summarize(self, lines: Sequence[Line]) -> None:
        """Summarizes those of the lines that have all their folds, some dozens at a time."""
        whole = [line for line in lines if len(line.finished) == len(line.entry.folds)]
        for start in range(0, len(whole), _AT_ONCE):
            part = whole[start : start + _AT_ONCE]
            # Of the cases only what is needed: of thousands of runs more would take minutes and gigabytes.
            runs = [
                {record.fold: (record.metrics, self._cases(line, record.fold, True)) for record in line.finished}
                for line in part
            ]
            for line, (summary, resampled) in zip(part, self._summarizer.summarize(runs), strict=True):
                line.summary = summary
                self._lead.enter(line.entry.id, resampled)
        if self._lead.lost:
            known = [(line.entry.id, line.summary.objective) for line in self._lines if line.summary is not None]
            self._lead.restart(
                (id_, resampled) for id_, objective in known for resampled in self._summarizer.resampled([objective])
            )

    def _cases(self, line: Line, fold: int, objective_only: bool) -> RunCases:
        path = self.folder(line.entry.id, fold) / "cases.csv"
        return read_cases(path, self._summarizer.wanted if objective_only else None)

    def _detail(self, ranked: Sequence[Line]) -> None:
        """Gives the first `CONTENDERS` ranks all intervals, and takes them from those that fell behind."""
        for line in ranked:
            assert line.summary is not None and line.rank is not None
            if line.summary.detailed == (line.rank <= CONTENDERS):
                continue
            if line.entry.id not in self._detailed:
                self._detailed[line.entry.id] = line.summary, self._with_all_intervals(line, line.summary)
            plain, detailed = self._detailed[line.entry.id]
            line.summary = detailed if line.rank <= CONTENDERS else plain
            self._tables.take_in_scores(line)

    def _with_all_intervals(self, line: Line, summary: Summary) -> Summary:
        """The summary with the intervals of all metrics; without them if a table has been damaged since its record was
        read. Whoever reads the ledger next sets such a run aside and repeats it.
        """
        try:
            for record in line.finished:
                path = self.folder(line.entry.id, record.fold) / "cases.csv"
                if record.files.get(path.name, found := seal(path)) != found:
                    raise RecordError(f"{path} is damaged")
            return self._summarizer.detailed(
                summary, {fold: self._cases(line, fold, False) for fold in line.entry.folds}
            )
        except (OSError, RecordError) as error:
            warnings.warn(f"{error}; give the same command again, which repeats the run", stacklevel=2)
            return replace(summary, detailed=True)
