"""Demsar's diagram: average ranks, and bars over those that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import metric_name, names_of
from experiments.figures.style import BLACK, BLUE, GREY, bare, canvas
from experiments.leaderboard.ranking import Ranking
from experiments.statistics import FriedmanTest

MOST_ROWS = 30

_FEWEST_ROWS = 3
_BLOCKS = {"groups": "groups of test cases", "folds": "folds"}

_LINE = 0.25
"""Inches from one name to the next."""


def critical_difference(data: FigureData) -> Chart:
    """Average ranks of the ranked configurations, over groups of cases or over folds (`Leaderboard.ranking`)."""
    ranking = _ranking(data)
    test, blocks = ranking.test, _BLOCKS[ranking.blocks]
    lines = [data.leaderboard.line(id) for id in ranking.configurations]
    name = metric_name(data.objective)
    shown = np.argsort(test.average_ranks, kind="stable")[:MOST_ROWS]
    bars = _bars(test, shown)
    figure = canvas(
        1.35 + 0.13 * len(bars) + _LINE * ((len(shown) + 1) // 2),
        f"Average ranks by {name} over {test.blocks} {ranking.blocks}",
    )
    axes = figure.add_subplot()
    bare(axes)
    ranks = test.average_ranks[shown]
    _draw(axes, ranks, names_of([lines[row] for row in shown], 21), bars, test.critical_difference)
    left_out = f"; the first {len(shown)} of {len(lines)} are shown" if len(shown) < len(lines) else ""
    caption = (
        f"Critical-difference diagram (Demsar 2006): average rank of each configuration by {name} over {test.blocks} "
        f"{blocks}, 1 is best; a bar joins configurations that are not further apart than the critical difference of "
        f"{test.critical_difference:.2f} (Nemenyi, 0.05; Friedman p {_p_text(test.p)}){left_out}."
    )
    return Chart("critical_difference", "Critical-difference diagram", caption, figure)


def _ranking(data: FigureData) -> Ranking:
    ranked = len(data.ranked())
    if ranked < _FEWEST_ROWS:
        raise CannotDrawError(
            f"ranks are compared among {_FEWEST_ROWS} complete configurations or more; there are {ranked}"
        )
    ranking = data.leaderboard.ranking
    if ranking is None:
        raise CannotDrawError("the complete configurations have fewer than two groups of cases in common")
    return ranking


def _bars(test: FriedmanTest, shown: np.ndarray) -> list[tuple[float, float]]:
    """The ends of every clique, as ranks, as far as its rows are shown."""
    visible = set(shown.tolist())
    bars = []
    for clique in test.cliques:
        ranks = test.average_ranks[[row for row in clique if row in visible]]
        if ranks.size > 1:
            bars.append((float(ranks.min()), float(ranks.max())))
    # Cut off at the last row that is shown, a bar may lie within another.
    return [bar for bar in bars if not any(bar != one and one[0] <= bar[0] and bar[1] <= one[1] for one in bars)]


def _draw(
    axes: Axes, ranks: np.ndarray, names: Sequence[str], bars: Sequence[tuple[float, float]], difference: float
) -> None:
    """ranks: (N,) ascending. Distances down the page are in inches, so that rows keep theirs however many there are."""
    low, high = np.floor(ranks[0]), max(np.ceil(ranks[-1]), np.floor(ranks[0]) + np.ceil(difference))
    span = high - low
    down = 0.13 * len(bars) + 0.16
    half = (len(ranks) + 1) // 2
    axes.set_xlim(low - 0.46 * span, high + 0.46 * span)
    axes.set_ylim(-(down + _LINE * half), 0.62)
    _scale(axes, low, high)
    _difference(axes, low, difference)
    for row, (start, end) in enumerate(bars):
        y = -0.13 * (row + 0.8)
        axes.plot([start - 0.008 * span, end + 0.008 * span], [y, y], color=BLUE, linewidth=3.5, solid_capstyle="butt")
    for row, (rank, name) in enumerate(zip(ranks, names, strict=True)):
        left = row < half
        # The best is the first name on the left, the worst the first on the right: no two lines cross.
        level = row if left else len(ranks) - 1 - row
        y, edge = -(down + _LINE * level), low - 0.02 * span if left else high + 0.02 * span
        axes.plot([rank, rank, edge], [0, y, y], color=GREY, linewidth=0.9, solid_joinstyle="miter")
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        axes.text(
            edge + (-0.01 if left else 0.01) * span, y, text, ha="right" if left else "left", va="center", fontsize=9
        )


def _scale(axes: Axes, low: float, high: float) -> None:
    axes.plot([low, high], [0, 0], color=BLACK, linewidth=1.2)
    step = max(1, int(np.ceil((high - low) / 10)))
    for rank in np.arange(low, high + 0.5, step):
        axes.plot([rank, rank], [0, 0.07], color=BLACK, linewidth=1)
        axes.text(rank, 0.09, f"{rank:g}", ha="center", va="bottom", fontsize=9)


def _difference(axes: Axes, low: float, difference: float) -> None:
    axes.plot([low, low + difference], [0.38, 0.38], color=BLUE, linewidth=2, marker="|", markersize=8)
    axes.text(low + difference / 2, 0.43, f"critical difference {difference:.2f}", ha="center", va="bottom", fontsize=9)


def _p_text(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"
