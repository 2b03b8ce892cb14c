"""Which class is taken for which."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import shorten
from experiments.figures.style import bare, canvas

MOST_CLASSES = 20


def confusion(data: FigureData) -> Chart:
    """The confusion matrix of the best configuration, summed over its test folds."""
    line = data.best()
    fold = data.predictions(line)
    if len(fold.classes) > MOST_CLASSES:
        raise CannotDrawError(f"{len(fold.classes)} classes are more than can be read in a matrix")
    figure = canvas(1.6 + min(6.0, 0.4 + 1.05 * len(fold.classes)), f"Confusion matrix of {shorten(line.entry.name)}")
    axes = figure.add_subplot()
    _draw_matrix(axes, fold.confusion, [shorten(name, 14) for name in fold.classes])
    caption = (
        f"Confusion matrix of {line.entry.name} over {fold.labels.size} cases of all test folds: each row is a true "
        "class, with the share of its cases that was given each class, and their number in brackets."
    )
    return Chart("confusion", "Confusion matrix of the best configuration", caption, figure)


def shares_of_rows(counts: np.ndarray) -> np.ndarray:
    """(C, C) counts as shares of their rows; a row without a case is NaN."""
    totals = counts.sum(axis=1, keepdims=True).astype(np.float64)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


def _draw_matrix(axes: Axes, counts: np.ndarray, classes: list[str]) -> None:
    shares = shares_of_rows(counts)
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
    bare(axes)
    axes.set_xticks(range(len(classes)), classes, rotation=0 if len(classes) <= 4 else 45)
    axes.set_yticks(range(len(classes)), classes)
    axes.tick_params(length=0)
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    size = 11 if len(classes) <= 5 else 9
    for (row, column), share in np.ndenumerate(shares):
        count = int(counts[row, column])
        text = "-" if np.isnan(share) else f"{share:.0%}\n({count:,})" if len(classes) <= 8 else f"{count}"
        color = "white" if share > 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color)
