"""``python -m experiments.explain --sweep encoders``: what the winner of a sweep looks at."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.console.command import answered
from experiments.console.options import add_device, count

PROGRAM = "-m experiments.explain"


def parser() -> argparse.ArgumentParser:
    """The options, as ``--help`` shows them."""
    command = argparse.ArgumentParser(
        prog=f"python {PROGRAM}",
        description="Shows what the networks of a finished sweep look at: class activation maps of the diagnosis and "
        "of the mask, and the attention maps of gates and CBAM. By default test cases, each explained by the network "
        "of the fold that it was tested in. Writes a sheet of pictures for each class, and explanations.csv with the "
        "share of the activation inside the lesion. Exit codes: 0 done, 1 some images could not be explained, 2 the "
        "user's error.",
    )
    add = command.add_argument
    add("--sweep", required=True, help="the name of the sweep, such as encoders for results/encoders.csv")
    add("--run", metavar="ID", help="another configuration than that of rank 1, or one run of it: <id>, <id>/fold-<i>")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--cases", type=count, default=6, metavar="N", help="test cases of each class (default: 6)")
    pictures = "other images instead: files, folders or patterns, explained by the mean over all folds' networks"
    which.add_argument("--image", nargs="+", metavar="PATH", help=pictures)
    add("--masks", type=Path, metavar="FOLDER", help="true masks of --image (default: x_mask.png beside x.png)")
    methods = ("gradcam", "gradcam++")
    add("--method", choices=methods, default="gradcam", help="how channels are weighed (default: gradcam)")
    layers = (
        "where: the number of an encoder's feature, 1 the finest, or a module's dotted name; of several the mean is "
        "shown (default: the deepest feature)"
    )
    add("--layer", nargs="+", default=(), metavar="LAYER", help=layers)
    add_device(command)
    add("--results", type=Path, default=Path("results"), metavar="FOLDER", help="of the sweep (default: results)")
    add("--output", type=Path, metavar="FOLDER", help="where files go (default: <results>/explanations/<sweep>)")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser().parse_args(arguments)
    # Imported here so that --help and mistakes are answered at once.
    from experiments.explanation.command import explain

    return answered(lambda console, interruption: explain(options, console, interruption), PROGRAM, arguments)


if __name__ == "__main__":
    sys.exit(main())
