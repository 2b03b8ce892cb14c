"""ROC and precision-recall curves, each class against the rest."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import shorten
from experiments.figures.style import GREY, PALETTE, canvas
from utils.metrics import FoldPredictions
from utils.metrics.curves import has_curve, precision_recall_curve, roc_curve

MOST_CLASSES = len(PALETTE)

_SIZE = 6.2


def roc(data: FigureData) -> Chart:
    """Sensitivity against false positives of the best configuration."""
    line = data.best()
    fold = data.predictions(line)
    figure, axes = _unit_square(f"ROC of {shorten(line.entry.name)}")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance")
    for number, column in enumerate(_columns(fold)):
        curve = roc_curve(fold, column)
        label = f"{shorten(fold.classes[column], 18)} (area {curve.area:.3f})"
        axes.plot(curve.x, curve.y, color=PALETTE[number], label=label)
    axes.set_xlabel("False positive rate (1 - specificity)")
    axes.set_ylabel("Sensitivity")
    figure.legend(loc="outside lower center", ncols=2, columnspacing=1.2)
    caption = (
        f"Receiver operating characteristic of {line.entry.name}, each class against the rest, over the "
        f"{fold.labels.size} cases of all test folds pooled; the area under each curve is in the legend."
    )
    return Chart("roc", "ROC curves of the best configuration", caption, figure)


def precision_recall(data: FigureData) -> Chart:
    """Precision against sensitivity of the best configuration."""
    line = data.best()
    fold = data.predictions(line)
    figure, axes = _unit_square(f"Precision-recall of {shorten(line.entry.name)}")
    for number, column in enumerate(_columns(fold)):
        curve = precision_recall_curve(fold, column)
        label = f"{shorten(fold.classes[column], 18)} (area {curve.area:.3f})"
        axes.step(curve.x, curve.y, where="pre", color=PALETTE[number], label=label)
        axes.axhline(float(np.mean(fold.labels == column)), color=PALETTE[number], linewidth=1, linestyle=":")
    axes.set_xlabel("Recall (sensitivity)")
    axes.set_ylabel("Precision")
    figure.legend(loc="outside lower center", ncols=2, columnspacing=1.2)
    caption = (
        f"Precision against recall of {line.entry.name}, each class against the rest, over the {fold.labels.size} "
        "cases of all test folds pooled; the area (average precision) is in the legend; a dotted line is the share of "
        "the class, which guessing would reach."
    )
    return Chart("precision_recall", "Precision-recall curves of the best configuration", caption, figure)


def _columns(fold: FoldPredictions) -> list[int]:
    """The classes that have a curve; of two classes only the second, the first being its mirror image."""
    columns = [column for column in range(len(fold.classes)) if has_curve(fold, column)]
    if not columns:
        raise CannotDrawError("all test cases are of one class")
    if len(columns) > MOST_CLASSES:
        raise CannotDrawError(f"{len(columns)} curves are more than can be told apart")
    return columns[1:] if len(fold.classes) == 2 else columns


def _unit_square(title: str) -> tuple[Canvas, Axes]:
    figure = canvas(_SIZE, title)
    axes = figure.add_subplot()
    axes.set_aspect("equal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    return figure, axes
