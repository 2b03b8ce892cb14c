"""How scores are spread over cases: a mean of 0.8 may be 0.8 everywhere, or 1 mostly and 0 in every fifth case."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.data import FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import columns_of, metric_label, metric_name, names_of
from experiments.figures.style import BLACK, PALETTE, SKY, canvas
from experiments.leaderboard.line import Line

MOST_OTHERS = 4

_BINS = 20
_DASHES = ("-", "--", "-.", ":")


def dice_histogram(data: FigureData) -> Chart:
    """The per-case objective of the best configuration, filled, and of those tied with it, in outline."""
    best, *others = data.ranked()
    tied = [line for line in others if line.tied][:MOST_OTHERS]
    scores = [np.array([case.score for case in data.case_scores(line)]) for line in (best, *tied)]
    name = metric_name(data.case_metric)
    figure = canvas(4.2, f"{name} of single cases")
    axes = figure.add_subplot()
    edges = bin_edges(np.concatenate(scores), data.case_metric.range)
    first, *names = names_of([best, *tied])
    axes.hist(scores[0], edges, color=SKY, alpha=0.6, label=f"{first} (median {np.median(scores[0]):.3g})")
    axes.axvline(float(np.median(scores[0])), color=BLACK, linewidth=1.2)
    for number, (values, label) in enumerate(zip(scores[1:], names, strict=True)):
        _outline(axes, values, edges, f"{label} (median {np.median(values):.3g})", number)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(metric_label(data.case_metric))
    axes.set_ylabel("Test cases")
    labels = axes.get_legend_handles_labels()[1]
    figure.legend(loc="outside lower center", ncols=columns_of(labels), columnspacing=1.2)
    return Chart("dice_histogram", f"{name} of single cases", _caption(name, best, scores[0], tied), figure)


def bin_edges(values: np.ndarray, limits: tuple[float, float]) -> list[float]:
    """Equal bins over the metric's range, or over the values where the range is unbounded."""
    low, high = limits
    if not np.isfinite(low):
        low = float(values.min())
    if not np.isfinite(high):
        high = float(values.max())
    return np.linspace(low, high if high > low else low + 1, _BINS + 1).tolist()


def _outline(axes: Axes, values: np.ndarray, edges: list[float], label: str, number: int) -> None:
    color, dash = (PALETTE[1:] + PALETTE)[number], _DASHES[number % len(_DASHES)]
    axes.hist(values, edges, histtype="step", color=color, linestyle=dash, linewidth=1.7, label=label)


def _caption(name: str, best: Line, scores: np.ndarray, tied: list[Line]) -> str:
    others = f"; in outline {len(tied)} that are tied with it" if tied else ""
    return (
        f"{name} of each of the {scores.size} test cases of {best.entry.name} (all folds, cases without a defined "
        f"value left out), with the median as a line{others}."
    )
