"""``python -m experiments.report sweeps/encoders.yaml``: writes the report of a sweep from its ledger."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.console.command import answered, sweep_options

PROGRAM = "-m experiments.report"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = sweep_options(
        f"python {PROGRAM}",
        "Writes the report of a sweep, or of every stage of a journey, from what its runs have left: "
        "<sweep>.html, <sweep>.md, <sweep>_classification.txt and figures/<sweep>/. Runs nothing.",
    )
    options = command.parse_args(arguments)
    # Imported here so that --help is answered at once.
    from experiments.rebuilding import write_reports

    return answered(lambda console, interruption: write_reports(options, console), PROGRAM, arguments)


if __name__ == "__main__":
    sys.exit(main())
