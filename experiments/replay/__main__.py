"""``python -m experiments.replay results/encoders``: what racing would have saved in a finished sweep, and lost."""

from __future__ import annotations

import argparse
import itertools
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
    add("--alpha", type=_share, nargs="+", help="one or more (0.01 to 0.2; with more than one --fold-share, 0.01)")
    add("--margin", type=_margin, nargs="+", help="one or more (0 and 0.02; with more than one --fold-share, 0.02)")
    add("--replays", type=_count, default=2000, help="races for each alpha and margin (default: 2000)")
    add("--rung-share", type=_kept, default=1.0, help="also stop runs at half of fold 0: such a share goes on")
    add("--fold-share", type=_kept, nargs="+", default=[1.0], help="at most such a share of a fold's runs the next")
    fastest = "count every epoch as the fastest of its configuration, where other work ran beside the sweep"
    add("--undisturbed", action="store_true", help=fastest)
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
    grid = read_grid(results, sweep, options.metric, options.undisturbed)
    say = lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)  # noqa: E731
    say(
        f"{sweep}: {len(grid.configurations)} configurations x {grid.folds} folds, {grid.seconds.sum():,.0f} s of "
        f"training; the winner is {grid.names[grid.winner]}, {len(grid.tied) - 1} are tied with it; "
        f"{options.replays} replays each"
    )
    several = len(set(options.fold_share)) > 1
    alphas = options.alpha or ([Rules().alpha] if several else [0.01, 0.02, 0.05, 0.1, 0.2])
    margins = options.margin or ([Rules().margin] if several else [0.0, 0.02])
    found = []
    for margin, alpha, share in itertools.product(*map(_ascending, (margins, alphas, options.fold_share))):
        rules = Rules(alpha, margin, rung_share=options.rung_share, fold_share=share)
        found.append(replay(grid, rules, options.replays, options.slots))
        say(found[-1].sentence())
    folder = results / "figures" / sweep
    folder.mkdir(parents=True, exist_ok=True)
    with styled("replay"):
        figure = replay_chart(grid, METRICS[options.metric], found).save(folder)
    say(f"Figure: {shown(figure.png)}")
    return 0


def _ascending(values: Sequence[float]) -> list[float]:
    return sorted(set(values))


def _share(text: str) -> float:
    return _number(text, 0.5, zero=False)


def _kept(text: str) -> float:
    return 1.0 if float(text) == 1 else _number(text, 1.0, zero=False)


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
