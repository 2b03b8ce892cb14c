"""Whether haste changes results: a sweep on all slots, and the same runs one by one, each in a process of its own.

    python tests/benchmarks/scheduling/equality.py [--encoders 3] [--epochs N]

Some encoders of the demo of sweeps/encoders.yaml, evenly over its list, on three folds.

- in haste: one command; as many runs at a time as fit, workers that go from run to run, and a cache that is built once;
- one by one: a command for every single run, with one slot, nothing in memory from the run before, and the cache
  deleted before each; then one that only writes the tables.

Every CSV of the two is compared, to the byte, without the columns that hold seconds, milliseconds and memory.
Exit code 1 if any differs.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))
sys.path.insert(0, str(Path(__file__).parent))

from efficiency import SWEEP, changes_of  # noqa: E402

from experiments.sweep import load_sweep  # noqa: E402

MEASURED = {"train_seconds", "inference_ms", "peak_memory_mb", "seconds"}
FOLDS = 3


def sweep(results: Path, *changes: str) -> None:
    """Runs the command to its end."""
    sets = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "run_sweep.py", str(SWEEP), "--demo", "--no-report", "--results", str(results), *sets]
    environment = {**os.environ, "RAY_ADDRESS": "local"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout}{done.stderr}")


def one_by_one(results: Path, changes: list[str]) -> int:
    """The same runs, each by a command of its own; how many commands that took."""
    planned = load_sweep(SWEEP, changes, demo=True)
    encoders = [one.settings.model.encoder.name for one in planned.configurations]
    for encoder in encoders:
        for folds in range(1, FOLDS + 1):
            shutil.rmtree(results / "cache", ignore_errors=True)
            only = f"search.grid={{model.encoder: [{encoder}]}}"
            sweep(results, *changes[2:], only, f"folds.use={folds}", "resources.slots=1")
    sweep(results, *changes, "resources.slots=1")
    return len(encoders) * FOLDS + 1


def table(path: Path) -> tuple[list[list[str]], list[str]]:
    """The rows without measured columns, and the names of these."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    kept = [column for column, name in enumerate(rows[0]) if name not in MEASURED]
    return [[row[column] for column in kept] for row in rows], sorted(MEASURED & set(rows[0]))


def main() -> int:
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--encoders", type=int, default=3)
    command.add_argument("--epochs", type=int)
    options = command.parse_args()
    changes = changes_of(options.encoders, FOLDS, options.epochs)
    with tempfile.TemporaryDirectory() as folder:
        hasty, slow = Path(folder) / "hasty", Path(folder) / "slow"
        started = time.perf_counter()
        sweep(hasty, *changes)
        print(f"in haste: 1 command, {time.perf_counter() - started:.0f} s", flush=True)
        started = time.perf_counter()
        print(f"one by one: {one_by_one(slow, changes)} commands, {time.perf_counter() - started:.0f} s")
        names = sorted({path.name for results in (hasty, slow) for path in results.glob("*.csv")})
        differing = 0
        for name in names:
            (ours, measured), (theirs, _) = table(hasty / name), table(slow / name)
            differing += ours != theirs
            verdict = "the same" if ours == theirs else "DIFFERENT"
            without = f", without {', '.join(measured)}" if measured else ""
            print(f"{name}: {len(ours) - 1} rows x {len(ours[0])} columns{without}: {verdict}")
    print(f"{differing} of {len(names)} tables differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
