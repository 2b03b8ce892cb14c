"""How the first few configurations learnt, fold by fold."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import columns_of, metric_label, metric_name, names_of
from experiments.figures.style import PALETTE, canvas
from experiments.leaderboard.line import Line

MOST_ROWS = 3


def learning_curves(data: FigureData) -> Chart:
    """Training loss and validation objective by epoch, of the first `MOST_ROWS` ranked rows."""
    lines = data.ranked()[:MOST_ROWS]
    panels = {
        "train_loss": "Training loss",
        f"validation_{data.objective.name}": f"{metric_label(data.objective)}, validation",
    }
    names = names_of(lines)
    histories = [
        [read_epochs(data.folder(line.entry.id, fold) / "epochs.csv") for fold in line.entry.folds] for line in lines
    ]
    columns = [name for name in panels if any(name in fold for folds in histories for fold in folds)]
    if not columns:
        raise CannotDrawError("no run has written what its epochs came to")
    figure = canvas(1.0 + 2.5 * len(columns), "Learning curves")
    grid = np.atleast_1d(figure.subplots(len(columns), 1, sharex=True))
    for axes, column in zip(grid, columns, strict=True):
        for number, (line, name) in enumerate(zip(lines, names, strict=True)):
            _curves(axes, [fold[column] for fold in histories[number] if column in fold], name, PALETTE[number])
            if column != "train_loss":
                _best_epochs(axes, line, [fold.get(column) for fold in histories[number]], PALETTE[number])
        axes.set_ylabel(panels[column])
    grid[-1].set_xlabel("Epoch")
    grid[-1].xaxis.get_major_locator().set_params(integer=True)
    figure.legend(
        *grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns_of(names), columnspacing=1.2
    )
    caption = (
        f"Training loss and validation {metric_name(data.objective)} by epoch of the first {len(lines)} rows of the "
        "leaderboard: a thin line for each fold, a thick one for their mean as far as all folds were trained, with "
        "one standard deviation shaded; a dot marks the epoch whose weights were kept."
    )
    return Chart("learning_curves", "Learning curves", caption, figure)


def read_epochs(path: Path) -> dict[str, np.ndarray]:
    """The columns of an ``epochs.csv``, (E,) each; an empty cell is NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return {}
    return {name: np.array([float(row[name]) if row[name] else np.nan for row in rows]) for name in rows[0]}


def _curves(axes: Axes, folds: list[np.ndarray], name: str, color: str) -> None:
    for values in folds:
        axes.plot(np.arange(1, values.size + 1), values, color=color, linewidth=0.7, alpha=0.5)
    shared = min((values.size for values in folds), default=0)
    if not shared:
        return
    table = np.stack([values[:shared] for values in folds])
    epochs, mean, spread = np.arange(1, shared + 1), table.mean(axis=0), table.std(axis=0, ddof=min(1, len(folds) - 1))
    axes.plot(epochs, mean, color=color, linewidth=2.2, label=name)
    axes.fill_between(epochs, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0)


def _best_epochs(axes: Axes, line: Line, folds: list[np.ndarray | None], color: str) -> None:
    for record, values in zip(line.finished, folds, strict=True):
        if values is not None and record.best_epoch and record.best_epoch <= values.size:
            axes.plot(record.best_epoch, values[record.best_epoch - 1], "o", color=color, markersize=4.5)
