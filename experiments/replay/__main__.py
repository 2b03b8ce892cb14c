"""``python -m experiments.replay results/encoders``: what racing would have saved in a finished sweep, and lost."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.console.command import answered

PROGRAM = "-m experiments.replay"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = argparse.ArgumentParser(
        prog=f"python {PROGRAM}",
        description="Replays a finished sweep as races, thousands of times with shuffled orders and resampled cases, "
        "and says what they save and how often they lose the best. Writes figures/<sweep>/replay.png. Runs nothing.",
    )
    add = command.add_argument
    add("sweep", type=Path, help="where its tables are, such as results/encoders")
    add("--metric", default="dice", help="the objective, a metric of cases (default: dice)")
    add("--alpha", type=_share, nargs="+", default=[0.01, 0.02, 0.05, 0.1, 0.2], help="one or more (0.01 to 0.2)")
    add("--margin", type=_margin, nargs="+", default=[0.0, 0.02], help="one or more (0 and 0.02)")
    add("--replays", type=_count, default=2000, help="races for each alpha and margin (default: 2000)")
    add("--halving", type=_count, help="also halve runs at a quarter and a half of fold 0: one in so many goes on")
    add("--slots", type=_count, default=2, help="runs at the same time (default: 2)")
    options = command.parse_args(arguments)
    return answered(lambda console, interruption: replay_sweep(options, console), PROGRAM, arguments)


def replay_sweep(options: argparse.Namespace, console: Console) -> int:
    """Prints the replays that `options` ask for, and draws them; returns 0. Raises UserError."""
    # Imported here so that --help is answered at once.
    from experiments.console.display import shown
    from experiments.figures.style import styled
    from experiments.racing import Rules
    from experiments.replay.figure import replay_chart
    from experiments.replay.grid import read_grid
    from experiments.replay.replay import replay
    from utils.metrics import METRICS

    results, sweep = options.sweep.parent, options.sweep.name.removesuffix(".csv")
    grid = read_grid(results, sweep, options.metric)
    say = lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)  # noqa: E731
    say(
        f"{sweep}: {len(grid.configurations)} configurations x {grid.folds} folds, {grid.seconds.sum():,.0f} s of "
        f"training; the winner is {grid.names[grid.winner]}, {len(grid.tied) - 1} are tied with it; "
        f"{options.replays} replays each"
    )
    found = []
    for margin in sorted(set(options.margin)):
        for alpha in sorted(set(options.alpha)):
            found.append(
                replay(grid, Rules(alpha, margin, halving=options.halving or 0), options.replays, options.slots)
            )
            say(found[-1].sentence())
    folder = results / "figures" / sweep
    folder.mkdir(parents=True, exist_ok=True)
    with styled("replay"):
        figure = replay_chart(grid, METRICS[options.metric], found).save(folder)
    say(f"Figure: {shown(figure.png)}")
    return 0


def _share(text: str) -> float:
    return _number(text, 0.5, zero=False)


def _margin(text: str) -> float:
    return _number(text, 1.0, zero=True)


def _number(text: str, below: float, zero: bool) -> float:
    value = float(text)
    if not (0 < value < below or (zero and value == 0)):
        raise argparse.ArgumentTypeError(f"must be {'from' if zero else 'above'} 0 and below {below:g}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
