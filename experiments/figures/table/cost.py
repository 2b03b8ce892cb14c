"""What a score costs: parameters, arithmetic, hours; and the configurations that nothing beats in both."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import columns_of, metric_label, metric_name, names_of
from experiments.figures.style import BLUE, GREY, VERMILLION, canvas
from experiments.leaderboard.line import Line

COSTS = {
    "params_millions": "Parameters (millions)",
    "gflops": "GFLOPs of one image",
    "train_seconds": "Training, all folds (s)",
}
"""Column of the leaderboard -> label of its axis."""

_NUMBER = 14
"""Points across a numbered mark."""


def cost(data: FigureData) -> Chart:
    """A panel for each cost that is known of some row."""
    lines = data.ranked()
    scores = np.array([line.summary.scores[data.objective.name].mean for line in lines if line.summary is not None])
    costs = {name: np.array([_cost(name, line) for line in lines]) for name in COSTS}
    costs = {name: values for name, values in costs.items() if not np.isnan(values).all()}
    if not costs:
        raise CannotDrawError("no record says what its run cost")
    if len(lines) < 2:
        raise CannotDrawError("one configuration alone has nothing to be compared with")
    name = metric_name(data.objective)
    fronts = {key: pareto_front(values, data.sign * scores) for key, values in costs.items()}
    key = _key(lines, sorted(set(np.concatenate(list(fronts.values())).tolist())))
    columns = min(2, columns_of(key))
    figure = canvas(1.2 + 2.4 * len(costs) + 0.2 * -(-len(key) // columns), f"{name} against its cost")
    for axes, (column, values) in zip(np.atleast_1d(figure.subplots(len(costs), 1)), costs.items(), strict=True):
        _panel(axes, values, scores, fronts[column])
        axes.set_xlabel(COSTS[column])
        axes.set_ylabel(metric_label(data.objective))
    figure.legend(
        [Line2D([], [], linestyle="") for _ in key],
        key,
        title="Pareto front, by rank on the leaderboard",
        loc="outside lower center",
        ncols=columns,
        handlelength=0,
        handletextpad=0,
    )
    caption = (
        f"Mean {name} of each configuration against parameters, arithmetic of one forward pass and training time; the "
        "numbered marks on the stepped line are the Pareto front, where no other configuration is both cheaper and "
        "better; their numbers are the ranks on the leaderboard."
    )
    return Chart("cost", f"{name} against cost", caption, figure)


def _key(lines: list[Line], rows: list[int]) -> list[str]:
    """What the numbers stand for; lines are in the order of their ranks."""
    names = names_of([lines[row] for row in rows], 30)
    return [f"{row + 1}  {name}" for row, name in zip(rows, names, strict=True)]


def pareto_front(costs: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices of the points that no other one dominates, by ascending cost.

    costs: (N,) less is better. scores: (N,) more is better. One point dominates another if it is at least as good
    in both and better in one; equal points stand side by side. A point with NaN is never on the front.
    """
    known = np.flatnonzero(~np.isnan(costs) & ~np.isnan(scores))
    order = known[np.lexsort((-scores[known], costs[known]))]
    front: list[int] = []
    for point in order:
        better = not front or scores[point] > scores[front[-1]]
        if better or (scores[point] == scores[front[-1]] and costs[point] == costs[front[-1]]):
            front.append(int(point))
    return np.array(front, dtype=np.int64)


def _cost(name: str, line: Line) -> float:
    """The cost of a complete row: the sum over its folds of what adds up, else the mean."""
    values = [value for record in line.finished if (value := getattr(record, name)) is not None]
    if not values:
        return float("nan")
    return float(np.sum(values) if name == "train_seconds" else np.mean(values))


def _panel(axes: Axes, costs: np.ndarray, scores: np.ndarray, front: np.ndarray) -> None:
    others = np.setdiff1d(np.arange(len(costs)), front)
    axes.plot(costs[others], scores[others], "o", color=GREY, alpha=0.45, markersize=5, markeredgewidth=0)
    axes.step(costs[front], scores[front], where="post", color=VERMILLION, linewidth=1.3, alpha=0.8)
    # From the last to the first: where marks overlap, the better one is on top.
    for point in sorted(front.tolist(), reverse=True):
        axes.plot(costs[point], scores[point], "o", color=BLUE, markersize=_NUMBER, markeredgecolor="white")
        axes.annotate(
            str(point + 1), (costs[point], scores[point]), ha="center", va="center_baseline", color="white", fontsize=9
        )
    known = costs[~np.isnan(costs)]
    if known.min() > 0 and known.max() > 5 * known.min():
        _logarithmic(axes, known)
    axes.margins(x=0.08, y=0.18)


def _logarithmic(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic axis with plain numbers on it, 1, 2, 5, 10, for ranges of a few decades."""
    axes.set_xscale("log")
    wide = values.max() > 300 * values.min()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=15))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
