"""``python -m experiments.view --sweep encoders --image FOLDER``: predictions looked at in a window."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.console.command import answered
from experiments.console.options import add_device, count

PROGRAM = "-m experiments.view"


def parser() -> argparse.ArgumentParser:
    """The options, as ``--help`` shows them."""
    command = argparse.ArgumentParser(
        prog=f"python {PROGRAM}",
        description="Shows images with what the networks of a finished sweep say about them: by default those of all "
        "folds of the configuration of rank 1. In the window, keys and trackbars change the threshold, the overlay, "
        "the contrast and the size of the input; the keys are printed at the start. Where no window can be opened, "
        "says why and writes a contact sheet. Exit codes: 0 done, 2 the user's error.",
    )
    add = command.add_argument
    add("--sweep", required=True, help="the name of the sweep, such as encoders for results/encoders.csv")
    add("--image", required=True, nargs="+", metavar="PATH", help="images, folders or patterns such as 'data/*.png'")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--run", metavar="ID", help="another configuration, or one run of it: <id>, <id>/fold-<i>")
    which.add_argument("--top", type=count, default=1, metavar="N", help="the N best configurations (default: 1)")
    add_device(command)
    add("--results", type=Path, default=Path("results"), metavar="FOLDER", help="of the sweep (default: results)")
    add("--output", type=Path, metavar="FOLDER", help="where saved files go (default: <results>/views/<sweep>)")
    add("--masks", type=Path, metavar="FOLDER", help="true masks (default: x_mask.png beside x.png)")
    add("--contact-sheet", action="store_true", help="write a contact sheet and open no window")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser().parse_args(arguments)
    # Imported here so that --help and mistakes are answered at once.
    from experiments.viewer.command import view

    return answered(lambda console, interruption: view(options, console, interruption), PROGRAM, arguments)


if __name__ == "__main__":
    sys.exit(main())
