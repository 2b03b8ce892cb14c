"""``python -m utils.datasets.miniatures DATASET FOLDER``: small made data in the layout of a dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.datasets.miniatures.registry import write_miniature
from utils.errors import Problem, UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = argparse.ArgumentParser(
        prog="python -m utils.datasets.miniatures", description="Writes small made data in the layout of a dataset."
    )
    command.add_argument("dataset", help="a name as under dataset.name, such as mias")
    command.add_argument("folder", type=Path, help="a new or empty folder")
    command.add_argument("--patients", type=int, default=12, help="how many, with two or more images each (12)")
    command.add_argument("--seed", type=int, default=7, help="another seed, other pictures (7)")
    options = command.parse_args(arguments)
    try:
        if options.folder.exists() and (not options.folder.is_dir() or any(options.folder.iterdir())):
            raise UserError(Problem("folder", "there is something already; name a new or empty folder"))
        if options.patients < 1:
            raise UserError(Problem("--patients", "must be at least 1", value=options.patients))
        print(write_miniature(options.dataset, options.folder, options.patients, options.seed))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
