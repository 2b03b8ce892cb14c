"""What racing saves and what it risks, by how sure it has to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from experiments.figures.figure import Chart
from experiments.figures.labels import metric_name
from experiments.figures.style import GREY, PALETTE, canvas
from experiments.replay.grid import Grid
from experiments.replay.replay import Replays
from utils.metrics import Metric


def replay_chart(grid: Grid, metric: Metric, found: Sequence[Replays]) -> Chart:
    """Training time, races that lose the best, and regret against alpha; a line for each margin."""
    figure = canvas(7.6, f"Racing, replayed on {grid.sweep}")
    time, lost, regret = figure.subplots(3, 1, sharex=True)
    margins = sorted({one.rules.margin for one in found})
    for color, margin in zip(PALETTE, margins, strict=False):
        line = sorted((one for one in found if one.rules.margin == margin), key=lambda one: one.rules.alpha)
        alphas = [one.rules.alpha for one in line]
        ends = np.array([np.quantile(one.seconds, [0.05, 0.95]) for one in line])
        label = f"margin {margin:g}"
        time.plot(alphas, [one.seconds.mean() for one in line], "o-", color=color, label=label)
        time.fill_between(alphas, ends[:, 0], ends[:, 1], color=color, alpha=0.15, linewidth=0)
        lost.plot(alphas, [1 - one.own.mean() for one in line], "o-", color=color)
        lost.plot(alphas, [1 - one.tied.mean() for one in line], "s:", color=color, markersize=4)
        regret.plot(alphas, [one.regret.mean() for one in line], "o-", color=color)
    alphas = sorted({one.rules.alpha for one in found})
    lost.plot(alphas, alphas, "--", color=GREY, linewidth=1)
    time.set_ylabel("Training time\nof the grid's")
    time.set_ylim(0, 1)
    lost.set_ylabel("Races that stop\nthe best")
    regret.set_ylabel(f"Mean regret\n({metric_name(metric)})")
    regret.set_ylim(bottom=0)
    regret.set_xlabel("alpha")
    for axes in (time, lost):
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    _alphas(regret, alphas)
    figure.legend(loc="outside lower center", ncols=len(margins))
    count = len(found[0].seconds)
    caption = (
        f"{len(grid.configurations)} configurations on {grid.folds} folds, raced {count:,} times on resampled "
        "cases with configurations and folds shuffled. Above: training time of that of the whole grid, mean "
        "and the range of nine races in ten. Middle: how often the best was stopped: the resampled table's "
        "(circles), or the whole grid's with all that are tied with it (squares); a race may do so as often "
        "as the dashed line has it. Below: by how much the race's winner is worse than the resampled "
        "table's."
    )
    return Chart("replay", "Racing, replayed", caption, figure)


def _alphas(axes: Axes, alphas: Sequence[float]) -> None:
    """Plain numbers where there are marks."""
    axes.set_xscale("log")
    axes.set_xticks(alphas)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
