"""The sortable table of the page: which columns there are, what stands in them, and what they are sorted by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from experiments.report.scoreboard import Scoreboard, ScoreRow
from experiments.report.wording import UNDEFINED, metric_number, metric_title, significant
from utils.metrics import METRICS

COSTS = {
    "params_millions": ("Parameters (M)", "millions of parameters in use"),
    "gflops": ("GFLOPs", "operations for one image, a multiply-add counted as two"),
    "epochs": ("Epochs", "trained, mean over folds"),
    "train_seconds": ("Training (s)", "sum over folds, wall-clock"),
    "inference_ms": ("Inference (ms)", "one image, forward pass only"),
    "peak_memory_mb": ("Memory (MB)", "largest over folds"),
}
COMPARISONS = {
    "difference_to_best": ("Difference to best", "in the objective, mean over folds"),
    "effect_vs_best": ("Effect size", "of the paired difference to the best row"),
    "p_vs_best": ("p (cases)", "paired test over cases against the best row, Holm-corrected"),
    "p_folds_vs_best": ("p (folds)", "corrected t-test over folds against the best row, Holm-corrected"),
    "probability_best": ("P(best)", "share of bootstrap resamples in which this row is the best"),
}


@dataclass(frozen=True)
class Column:
    """hint: what the numbers mean, for who hovers or listens. numeric: how it is aligned and sorted."""

    title: str
    hint: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class TableCell:
    """detail: smaller, after the text. order: what sorting compares, '' where there is nothing to compare."""

    text: str
    order: str = ""
    detail: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row of the page's table. kind: ``best``, ``tied``, ``ranked`` or ``unranked``; tip: id and settings."""

    kind: str
    cells: tuple[TableCell, ...]
    tip: str


@dataclass(frozen=True)
class SortableTable:
    """The first two columns, rank and configuration, stay in sight while the others scroll."""

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]


def sortable_table(board: Scoreboard) -> SortableTable:
    """All rows of the leaderboard, and those of its columns that hold anything."""
    settings = [key for key in board.varied if any(row.cells.get(key, "") != row.name for row in board.rows)]
    compared = [name for name in COMPARISONS if _filled(board, name)]
    costs = [name for name in COSTS if _filled(board, name)]
    columns = [Column("Rank"), Column("Configuration", numeric=False)]
    columns += [_metric_column(board, name) for name in board.metrics]
    columns += [Column(*COMPARISONS[name]) for name in compared]
    columns += [Column(*COSTS[name]) for name in costs]
    columns += [Column(key, "a setting that varies", numeric=False) for key in settings]
    columns += [Column("Status", numeric=False)]
    names = [*compared, *costs]
    rows = [
        TableRow(_kind(board, row), tuple(_cells(board, row, names, settings)), f"id {row.id}") for row in board.rows
    ]
    return SortableTable(tuple(columns), tuple(rows))


def _filled(board: Scoreboard, name: str) -> bool:
    return any(not math.isnan(row.number(name)) for row in board.rows)


def _metric_column(board: Scoreboard, name: str) -> Column:
    metric = METRICS[name]
    direction = board.direction if name == board.objective else metric.direction
    better = "higher is better" if direction == "max" else "lower is better"
    unit = f" ({metric.unit})" if metric.unit else ""
    return Column(f"{metric_title(name)}{unit} {'↑' if direction == 'max' else '↓'}", f"mean over folds; {better}")


def _kind(board: Scoreboard, row: ScoreRow) -> str:
    if not row.ranked:
        return "unranked"
    if row is board.ranked[0]:
        return "best"
    return "tied" if row.tied else "ranked"


def _cells(board: Scoreboard, row: ScoreRow, names: list[str], settings: list[str]) -> Iterator[TableCell]:
    rank = row.cells["rank"]
    yield TableCell(rank or UNDEFINED, rank)
    yield TableCell(row.name, row.name)
    for name in board.metrics:
        mean, std = row.number(f"{name}_mean"), row.number(f"{name}_std")
        low, high = row.number(f"{name}_ci_low"), row.number(f"{name}_ci_high")
        detail = "" if math.isnan(std) else f"± {metric_number(name, std)}"
        if name == board.objective and not math.isnan(low):
            detail = f"{metric_number(name, low)} to {metric_number(name, high)}"
        yield TableCell(metric_number(name, mean), _order(mean), detail)
    for name in names:
        value = row.number(name)
        yield TableCell(significant(value, 2 if name.startswith("p_") else 3), _order(value))
    for key in settings:
        yield TableCell(row.cells.get(key, ""), row.cells.get(key, ""))
    yield TableCell(row.status, row.status)


def _order(value: float) -> str:
    return "" if math.isnan(value) else repr(value)
