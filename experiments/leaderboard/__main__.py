"""``python -m experiments.leaderboard sweeps/encoders.yaml``: everything under ``results/`` from the ledger again."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.console.command import answered, sweep_options

PROGRAM = "-m experiments.leaderboard"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = sweep_options(
        f"python {PROGRAM}",
        "Makes every table, the study, the figures and the report of a sweep, or of every stage of a journey, "
        "from what its runs have left. Runs nothing.",
    )
    options = command.parse_args(arguments)
    # Imported here so that --help is answered at once.
    from experiments.rebuilding import rebuild

    return answered(lambda console, interruption: rebuild(options, console), PROGRAM, arguments)


if __name__ == "__main__":
    sys.exit(main())
