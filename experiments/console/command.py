"""What every command about a sweep file shares: its options, how it explains a mistake, and its exit code.

Exit codes: 0 done, 1 some runs failed, 2 the user's error, 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import gc
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from experiments.console.interruption import Interrupted, Interruption
from utils.errors import Problem, UserError
from utils.files import disk_full


def sweep_options(program: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that name a sweep: file, ``--set``, ``--demo`` and ``--results``."""
    options = argparse.ArgumentParser(prog=program, description=description)
    add = options.add_argument
    add("sweep", type=Path, help="the sweep file, such as sweeps/encoders.yaml, or a journey of several")
    overriding = "override a key of the sweep file, such as training.epochs=5; may be repeated"
    add("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help=overriding)
    add("--demo", action="store_true", help="the same sweep on small generated images, results as <name>_demo")
    add("--results", type=Path, default=Path("results"), metavar="FOLDER", help="where results go (default: results)")
    return options


def answered(act: Callable[[Console, Interruption], int], program: str, arguments: Sequence[str] | None) -> int:
    """Calls `act` and returns the exit code; mistakes and signals are explained on the screen.

    program: how the command is given, such as ``run_sweep.py``. arguments: those after it; None for the process's.
    """
    # torch, Ray and scikit-learn are a million objects that stay: looking through them every 700 is a fifth of the
    # seconds that importing them takes.
    gc.set_threshold(10_000)
    console = Console()
    try:
        with Interruption() as interruption:
            return act(console, interruption)
    except UserError as error:
        _explain(error)
        return 2
    except OSError as error:
        if not disk_full(error):
            raise
        _explain(UserError(Problem("disk", f"{error}; make room and give the command again: what finished is kept")))
        return 2
    except Interrupted as interrupted:
        given = arguments if arguments is not None else sys.argv[1:]
        again = shlex.join(["python", *program.split(), *given])
        console.print(f"Stopped. Nothing that finished is lost; go on with:\n  {again}", markup=False, soft_wrap=True)
        return 128 + interrupted.signal_number


def _explain(error: UserError) -> None:
    console = Console(stderr=True)
    count = len(error.problems)
    console.print(f"{count} problems:" if count > 1 else "1 problem:", style="bold red")
    for problem in error.problems:
        console.print(f"  {problem}", markup=False, highlight=False, soft_wrap=True)
