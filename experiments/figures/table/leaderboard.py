"""The leaderboard as dots and intervals, ties with the best marked."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.data import FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import metric_label, metric_name, names_of
from experiments.figures.style import BLUE, GREY, ORANGE, SKY, canvas
from experiments.leaderboard.line import Line

MOST_ROWS = 40

_ROW = 0.27
_LONGEST_NAME = 34
_MARKS: dict[str, dict[str, Any]] = {
    "best": {"color": BLUE, "marker": "D", "markersize": 7},
    "tied with the best": {"color": BLUE, "marker": "o", "markersize": 6.5},
    "worse than the best": {"color": ORANGE, "marker": "o", "markersize": 6.5, "markerfacecolor": "white"},
}


def leaderboard(data: FigureData) -> Chart:
    """The first `MOST_ROWS` ranked rows, best above."""
    lines = data.ranked()
    shown = lines[:MOST_ROWS]
    name = metric_name(data.objective)
    figure = canvas(1.5 + _ROW * len(shown), f"{name} of {_counted(len(shown), len(lines))}")
    axes = figure.add_subplot()
    for kind in _MARKS:
        _draw_kind(axes, data, shown, kind)
    _shade_best(axes, data, shown[0])
    axes.set_yticks(range(len(shown)), names_of(shown, _LONGEST_NAME))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(metric_label(data.objective))
    _write_scores(axes, data, shown)
    figure.legend(loc="outside lower center", ncols=3, handletextpad=0.3, columnspacing=1.2)
    return Chart("leaderboard", f"Leaderboard by {name}", _caption(data, len(shown), len(lines)), figure)


def kind_of(line: Line) -> str:
    """How a ranked row compares with the best."""
    if line.rank == 1:
        return "best"
    return "tied with the best" if line.tied else "worse than the best"


def _draw_kind(axes: Axes, data: FigureData, lines: list[Line], kind: str) -> None:
    rows = [row for row, line in enumerate(lines) if kind_of(line) == kind]
    if not rows:
        return
    scores = [_score(data, lines[row]) for row in rows]
    color = _MARKS[kind]["color"]
    axes.hlines(rows, [low for _, low, _ in scores], [high for *_, high in scores], colors=color, linewidth=2)
    axes.plot([mean for mean, *_ in scores], rows, linestyle="", label=kind, markeredgewidth=1.6, **_MARKS[kind])


def _shade_best(axes: Axes, data: FigureData, best: Line) -> None:
    mean, low, high = _score(data, best)
    axes.axvline(mean, color=BLUE, linewidth=0.9, linestyle=":", zorder=0.5)
    if not np.isnan(low):
        axes.axvspan(low, high, color=SKY, alpha=0.13, linewidth=0, zorder=0)


def _write_scores(axes: Axes, data: FigureData, lines: list[Line]) -> None:
    """The means as numbers, in a column of their own to the right."""
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(lines)), [f"{_score(data, line)[0]:.3f}" for line in lines])
    right.tick_params(length=0, labelcolor=GREY)
    right.spines["right"].set_visible(False)


def _score(data: FigureData, line: Line) -> tuple[float, float, float]:
    """Mean and interval; NaN ends where there is no interval."""
    assert line.summary is not None, "only complete rows are ranked"
    score = line.summary.scores[data.objective.name]
    return score.mean, score.low, score.high


def _counted(shown: int, ranked: int) -> str:
    if shown < ranked:
        return f"the first {shown} of {ranked} configurations"
    return f"{ranked} configuration" + ("s" if ranked > 1 else "")


def _caption(data: FigureData, shown: int, ranked: int) -> str:
    left_out = len(data.leaderboard.entries) - ranked
    unranked = f"; {left_out} without a rank {'is' if left_out == 1 else 'are'} not shown" if left_out else ""
    return (
        f"Mean {metric_name(data.objective)} over the test folds with its 95 % bootstrap interval over groups, best "
        f"above, for {_counted(shown, ranked)}; filled marks are tied with the best, the shaded band is the best's "
        f"own interval{unranked}."
    )
