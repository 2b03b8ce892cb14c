"""The command line: ``python run_sweep.py sweeps/encoders.yaml``. Parses, calls, answers with an exit code.

Exit codes: 0 all runs complete, 1 some failed, 2 the user's error, 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from experiments.console.command import answered, sweep_options
from experiments.console.interruption import Interruption

PROGRAM = "run_sweep.py"

_FOR_RUNS = ("--download", "--retry-failed", "--skip-impossible", "--new-data")


def parser() -> argparse.ArgumentParser:
    """The options, as ``--help`` shows them."""
    options = sweep_options(
        PROGRAM,
        "Trains every configuration of a sweep on every fold and writes its leaderboard and its report. "
        "The same command resumes, extends and repairs a sweep.",
    )
    add = options.add_argument
    add("--plan", action="store_true", help="show what would run, what is done, what it would cost; run nothing")
    add("--address", metavar="HOST:PORT", help="join this Ray cluster instead of starting one here")
    add("--retry-failed", action="store_true", help="repeat the runs that failed")
    skip = "record what can never run as failed, with its reason, and run the rest"
    add("--skip-impossible", action="store_true", help=skip)
    new_data = "go on although data or folds are others than those of the results; the runs begin anew beside the old"
    add("--new-data", action="store_true", help=new_data)
    add("--no-report", dest="report", action="store_false", help="leave the figures and the report out")
    add("--download", action="store_true", help="fetch the dataset from Kaggle if it is not there")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = parser()
    options = command.parse_args(arguments)
    given = [name for name in _FOR_RUNS if options.plan and getattr(options, name[2:].replace("-", "_"))]
    if given:
        command.error(f"--plan changes nothing: leave {' and '.join(given)} out")
    return answered(lambda console, interruption: _run(options, console, interruption), PROGRAM, arguments)


def _run(options: argparse.Namespace, console: Console, interruption: Interruption) -> int:
    # Imported here so that --help and mistakes in the sweep file are answered at once.
    from experiments.journey import is_journey, load_journey, plan_journey, run_file
    from experiments.sweep import Sweep, load_sweep

    given = (options.sweep, options.overrides, options.demo, options.results)

    def plan(sweep: Sweep) -> int:
        from experiments.plan import show_plan

        return show_plan(sweep, options.results, console)

    def run(sweep: Sweep) -> int:
        from experiments.driver import Driver, Wishes

        wishes = Wishes(
            address=options.address,
            retry_failed=options.retry_failed,
            download=options.download,
            skip_impossible=options.skip_impossible,
            new_data=options.new_data,
            report=options.report,
        )
        return Driver(sweep, options.results, console, interruption, wishes).run()

    if not options.plan:
        return run_file(*given, console, run)
    if is_journey(options.sweep):
        plan_journey(load_journey(*given), console, plan)
    else:
        plan(load_sweep(*given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
