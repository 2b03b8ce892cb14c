"""The command line: ``python run_sweep.py sweeps/encoders.yaml``. Parses, calls, answers with an exit code.

Exit codes: 0 all runs complete, 1 some failed, 2 the user's error, 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.console.interruption import Interrupted, Interruption
from utils.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The options, as ``--help`` shows them."""
    options = argparse.ArgumentParser(
        prog="run_sweep.py",
        description="Trains every configuration of a sweep on every fold and writes its leaderboard. "
        "The same command resumes, extends and repairs a sweep.",
    )
    add = options.add_argument
    add("sweep", type=Path, help="the sweep file, such as sweeps/encoders.yaml, or a journey of several")
    overriding = "override a key of the sweep file, such as training.epochs=5; may be repeated"
    add("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help=overriding)
    add("--demo", action="store_true", help="the same sweep on small generated images, results as <name>_demo")
    add("--plan", action="store_true", help="show what would run, what is done, what it would cost; run nothing")
    add("--results", type=Path, default=Path("results"), metavar="FOLDER", help="where results go (default: results)")
    add("--address", metavar="HOST:PORT", help="join this Ray cluster instead of starting one here")
    add("--retry-failed", action="store_true", help="repeat the runs that failed")
    add("--download", action="store_true", help="fetch the dataset from Kaggle if it is not there")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = parser()
    options = command.parse_args(arguments)
    if options.plan and (options.download or options.retry_failed):
        command.error("--plan changes nothing: leave --download and --retry-failed out")
    console = Console()
    try:
        with Interruption() as interruption:
            return _run(options, console, interruption)
    except UserError as error:
        _explain(error)
        return 2
    except Interrupted as interrupted:
        again = shlex.join(["python", "run_sweep.py", *(arguments if arguments is not None else sys.argv[1:])])
        console.print(f"Stopped. Nothing that finished is lost; go on with:\n  {again}", markup=False, soft_wrap=True)
        return 128 + interrupted.signal_number


def _run(options: argparse.Namespace, console: Console, interruption: Interruption) -> int:
    # Imported here so that --help and mistakes in the sweep file are answered at once.
    from experiments.journey import is_journey, load_journey, plan_journey, run_journey
    from experiments.sweep import Sweep, load_sweep

    given = (options.sweep, options.overrides, options.demo, options.results)

    def plan(sweep: Sweep) -> int:
        from experiments.plan import show_plan

        return show_plan(sweep, options.results, console)

    def run(sweep: Sweep) -> int:
        from experiments.driver import Driver

        driver = Driver(sweep, options.results, console, interruption)
        return driver.run(address=options.address, retry_failed=options.retry_failed, download=options.download)

    if is_journey(options.sweep):
        journey = load_journey(*given)
        if not options.plan:
            return run_journey(journey, console, run)
        plan_journey(journey, console, plan)
        return 0
    sweep = load_sweep(*given)
    if not options.plan:
        return run(sweep)
    plan(sweep)
    return 0


def _explain(error: UserError) -> None:
    console = Console(stderr=True)
    count = len(error.problems)
    console.print(f"{count} problems:" if count > 1 else "1 problem:", style="bold red")
    for problem in error.problems:
        console.print(f"  {problem}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
