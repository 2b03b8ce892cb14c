"""What racing saves and what it risks, by how sure it has to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from experiments.figures.figure import Chart
from experiments.figures.labels import metric_name
from experiments.figures.style import GREY, PALETTE, canvas
from experiments.racing import Rules
from experiments.replay.grid import Grid
from experiments.replay.replay import Replays
from utils.metrics import Metric


def replay_chart(grid: Grid, metric: Metric, found: Sequence[Replays]) -> Chart:
    """Training time, races that lose the best, and regret, against alpha, or against the share of each fold's runs that
    go on where there are several; a line for each of the other rules.
    """
    by_share = len({one.rules.fold_share for one in found}) > 1
    figure = canvas(7.6, f"Racing, replayed on {grid.sweep}")
    time, lost, regret = figure.subplots(3, 1, sharex=True)
    lines: dict[str, list[Replays]] = {}
    for one in sorted(found, key=lambda one: _place(one.rules, by_share)):
        lines.setdefault(_label(one.rules, by_share), []).append(one)
    for color, (label, line) in zip(PALETTE, sorted(lines.items()), strict=False):
        places = [_place(one.rules, by_share) for one in line]
        ends = np.array([np.quantile(one.seconds, [0.05, 0.95]) for one in line])
        time.plot(places, [one.seconds.mean() for one in line], "o-", color=color, label=label)
        time.fill_between(places, ends[:, 0], ends[:, 1], color=color, alpha=0.15, linewidth=0)
        lost.plot(places, [1 - one.own.mean() for one in line], "o-", color=color)
        lost.plot(places, [1 - one.tied.mean() for one in line], "s:", color=color, markersize=4)
        regret.plot(places, [one.regret.mean() for one in line], "o-", color=color)
    marks = sorted({_place(one.rules, by_share) for one in found})
    time.set_ylabel("Training time\nof the grid's")
    time.set_ylim(0, 1.05)
    lost.set_ylabel("Races that stop\nthe best")
    lost.set_ylim(bottom=-0.01)
    regret.set_ylabel(f"Mean regret\n({metric_name(metric)})")
    regret.set_ylim(bottom=0)
    for axes in (time, lost):
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    if by_share:
        regret.set_xlabel("share of a fold's runs that go on to the next")
        promised = ""
    else:
        regret.set_xlabel("alpha")
        lost.plot(marks, marks, "--", color=GREY, linewidth=1)
        _alphas(regret, marks)
        promised = "; by confidence alone it may do so as often as the dashed line has it"
    figure.legend(loc="outside lower center", ncols=min(len(lines), 2))
    count = len(found[0].seconds)
    caption = (
        f"{len(grid.configurations)} configurations on {grid.folds} folds, raced {count:,} times on resampled "
        "cases with configurations and folds shuffled. Above: training time of that of the whole grid, mean "
        "and the range of nine races in ten. Middle: how often a race stopped the best: the resampled table's "
        f"(circles), or the whole grid's with all that are tied with it (squares){promised}. "
        "Below: by how much the race's winner is worse than the resampled table's."
    )
    return Chart("replay", "Racing, replayed", caption, figure)


def _place(rules: Rules, by_share: bool) -> float:
    return rules.fold_share if by_share else rules.alpha


def _label(rules: Rules, by_share: bool) -> str:
    """What a line has in common."""
    shares = () if by_share or rules.fold_share == 1 else (f"{rules.fold_share:g} after each fold",)
    alphas = (f"alpha {rules.alpha:g}",) if by_share else ()
    rungs = (f"{rules.rung_share:g} at half of fold 0",) if rules.rung_share < 1 else ()
    return ", ".join((*alphas, f"margin {rules.margin:g}", *rungs, *shares))


def _alphas(axes: Axes, alphas: Sequence[float]) -> None:
    """Plain numbers where there are marks."""
    axes.set_xscale("log")
    axes.set_xticks(alphas)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
