"""The text of the leaderboard's own CSV files: a row for each configuration, and one for each run.

What a row says of a configuration alone is put into text once and kept; the rest is filled in at each writing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from experiments.leaderboard.entry import cell, setting_cell
from experiments.leaderboard.line import Line, run_status
from experiments.ledger.record import Record
from utils.metrics import METRICS

COMPARISON_COLUMNS = (
    *("p_vs_best", "tied_with_best", "difference_to_best", "effect_vs_best", "p_folds_vs_best", "probability_best"),
)
COST_COLUMNS = ("params_millions", "gflops", "epochs", "train_seconds", "inference_ms", "peak_memory_mb")
"""Means over the folds, but for `train_seconds` (their sum) and `peak_memory_mb` (their maximum)."""
ORIGIN_COLUMNS = ("adjustments", "code", "data", "split")
RUN_COLUMNS = ("best_epoch", *COST_COLUMNS, *ORIGIN_COLUMNS, "seed", "error")


class Tables:
    """The texts of a leaderboard's rows. varied: the columns of what varies."""

    def __init__(self, varied: Sequence[str]) -> None:
        self.varied = tuple(varied)
        self._scores: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        self._runs: dict[str, list[str | None]] = {}

    def take_in(self, line: Line) -> None:
        """Notes what a line says whose records have changed."""
        self.take_in_scores(line)
        costs = [cell(_cost(name, line)) for name in COST_COLUMNS]
        known = [record for record in line.records if record is not None]
        origins = ["; ".join(dict.fromkeys(text for record in known for text in record.adjustments))]
        origins += ["; ".join(dict.fromkeys(getattr(record, name) for record in known)) for name in ORIGIN_COLUMNS[1:]]
        self._origins[line.entry.id] = _row([*costs, *origins])
        varied = self._varied(line)
        self._runs[line.entry.id] = [
            None if record is None else _row([line.entry.id, str(fold), record.status, *varied, *_run_cells(record)])
            for fold, record in zip(line.entry.folds, line.records, strict=True)
        ]

    def take_in_scores(self, line: Line) -> None:
        """Notes what a line says whose scores have got or lost their intervals."""
        scores = []
        for name in METRICS:
            score = line.summary.scores[name] if line.summary else None
            scores += [cell(number) for number in (score.mean, score.std, score.low, score.high)] if score else [""] * 4
        self._scores[line.entry.id] = _row([*self._varied(line), str(len(line.finished)), *scores])

    def leaderboard_csv(self, lines: Iterable[Line]) -> str:
        """A row for each of the lines, in their order."""
        scores = [f"{name}_{part}" for name in METRICS for part in ("mean", "std", "ci_low", "ci_high")]
        head = ("rank", "configuration", "status", *self.varied, "folds", *scores)
        rows = [_row([*head, *COMPARISON_COLUMNS, *COST_COLUMNS, *ORIGIN_COLUMNS])]
        for line in lines:
            id_ = line.entry.id
            start, compared = _row([cell(line.rank), id_, line.status]), _row(_comparison_cells(line))
            rows.append(f"{start},{self._scores[id_]},{compared},{self._origins[id_]}")
        return "\n".join([*rows, ""])

    def folds_csv(self, lines: Iterable[Line], running: Collection[tuple[str, int]]) -> str:
        """A row for each run of the lines, in their order; running: those under way."""
        rows = [_row(["configuration", "fold", "status", *self.varied, *METRICS, *RUN_COLUMNS])]
        nothing = [""] * (len(METRICS) + len(RUN_COLUMNS))
        for line in lines:
            for fold, text in zip(line.entry.folds, self._runs[line.entry.id], strict=True):
                if text is None:
                    status = run_status(line, fold, running)
                    text = _row([line.entry.id, str(fold), status, *self._varied(line), *nothing])
                rows.append(text)
        return "\n".join([*rows, ""])

    def _varied(self, line: Line) -> list[str]:
        varied = line.entry.varied
        return [setting_cell(varied[key]) if key in varied else "" for key in self.varied]


def _comparison_cells(line: Line) -> list[str]:
    if not line.rank:
        return [""] * len(COMPARISON_COLUMNS)
    return [
        cell(line.p_vs_best),
        cell(line.tied),
        *(cell(value) for value in (line.difference, line.effect, line.p_folds, line.probability_best)),
    ]


def _cost(name: str, line: Line) -> float | None:
    """A cost over the folds; of an incomplete configuration only what no fold can change."""
    values = [value for record in line.finished if (value := getattr(record, name)) is not None]
    if not values or (line.summary is None and name not in ("params_millions", "gflops")):
        return None
    if name == "train_seconds":
        return float(sum(values))
    return float(max(values) if name == "peak_memory_mb" else np.mean(values))


def _run_cells(record: Record) -> list[str]:
    """A run's metrics and `RUN_COLUMNS`."""
    details = (getattr(record, name) for name in RUN_COLUMNS)
    return [
        *(cell(record.metrics.get(name)) for name in METRICS),
        *("; ".join(value) if isinstance(value, tuple) else cell(value) for value in details),
    ]


def _row(cells: Sequence[str]) -> str:
    """Cells as a row of CSV, without the newline."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
