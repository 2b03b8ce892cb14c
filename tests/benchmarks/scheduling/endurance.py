"""Ten hours in minutes: thousands of runs without training through one driver, and whether anything grows.

    python tests/benchmarks/scheduling/endurance.py [--runs 5001] [--after 500]

The sweep is that of `overhead`: phantoms, three folds, and `empty_execution` in the place of training; everything else
is as in a real one. Four times a second the resident memory and the open files of the driver and of its workers are
read, and how many records there are. Printed is the mean of each after the first runs (--after) and at the end, with
the growth in between, and the time per run in each tenth of the way: by the clock, and the driver's own CPU time, which
other work on the machine hardly changes. Exit code 1 if the memory of the driver or of a worker has grown by more than
5 %, if files were left open, or if a run has come to cost the driver half as much again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import psutil

HERE = Path(__file__).resolve().parent
MOST_GROWTH, MOST_SLOWDOWN, FEW_FILES = 0.05, 1.5, 3


@dataclass(frozen=True)
class Sample:
    """One look: seconds since the start, the driver's CPU seconds by then, records so far, megabytes and open files of
    driver and worst worker.
    """

    seconds: float
    driver_cpu: float
    records: int
    driver_mb: float
    worker_mb: float
    driver_files: int
    worker_files: int


def watch(command: list[str], folder: Path) -> list[Sample]:
    """Runs the sweep and looks at it four times a second. Exits if it fails."""
    environment = {**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(HERE.parents[2])}
    with (folder / "output").open("w+b") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        driver, samples, started = psutil.Process(process.pid), [], time.monotonic()
        while process.poll() is None:
            time.sleep(0.25)
            try:
                workers = [each for each in driver.children(recursive=True) if "ray::Resource" in each.name()]
                sizes = [(each.memory_info().rss / 2**20, each.num_fds()) for each in (driver, *workers)]
            except psutil.Error:
                continue  # one has just ended
            if workers:
                mb, files = max(size for size, _ in sizes[1:]), max(files for _, files in sizes[1:])
                count = _records(folder)
                cpu, seconds = sum(driver.cpu_times()[:2]), time.monotonic() - started
                samples.append(Sample(seconds, cpu, count, sizes[0][0], mb, sizes[0][1], files))
        if process.returncode:
            output.seek(0)
            sys.exit(f"the sweep failed:\n{output.read().decode(errors='replace')[-4000:]}")
    return samples


def _records(folder: Path) -> int:
    """Records so far: counted without opening any, folder by folder."""
    return sum(1 for _ in (folder / "results/runs/overhead").glob("*/fold-*/record.json"))


def judge(samples: list[Sample], runs: int, after: int) -> bool:
    """Prints what has become of each, and answers whether all stayed as it was."""
    rest = [sample for sample in samples if sample.records >= after]
    if len(rest) < 20:
        sys.exit(f"only {len(rest)} looks after {after} runs: more runs are needed")
    tenth = max(1, len(rest) // 10)
    first, last = rest[:tenth], rest[-tenth:]
    sound = True
    for what in ("driver_mb", "worker_mb", "driver_files", "worker_files"):
        before, then = (mean(getattr(sample, what) for sample in part) for part in (first, last))
        flat = then - before <= (FEW_FILES if what.endswith("files") else MOST_GROWTH * before)
        sound &= flat
        change = 100 * (then / before - 1)
        print(f"{'PASS' if flat else 'FAIL'}  {what:<13} {before:9.1f} -> {then:9.1f}  ({change:+.1f} %)")
    for what, name in (("seconds", "by the clock"), ("driver_cpu", "CPU of the driver")):
        paces = _paces(rest, what, after, runs)
        print(f"ms a run, {name}, tenth by tenth: " + ", ".join(f"{1000 * pace:.1f}" for pace in paces))
    steady = paces[-1] <= MOST_SLOWDOWN * paces[0]
    print(f"{'PASS' if steady else 'FAIL'}  the last tenth costs {paces[-1] / paces[0]:.2f} times what the first does")
    return sound and steady


def _paces(samples: list[Sample], what: str, after: int, runs: int) -> list[float]:
    """Seconds a run, in each tenth of the runs after the first."""
    tenth, paces = (runs - after) // 10, []
    for start in range(after, runs - tenth + 1, tenth):
        part = [sample for sample in samples if start <= sample.records <= start + tenth]
        if len(part) > 1 and part[-1].records > part[0].records:
            spent = getattr(part[-1], what) - getattr(part[0], what)
            paces.append(spent / (part[-1].records - part[0].records))
    return paces


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5001, help="empty runs, a multiple of 3 (default: 5001)")
    parser.add_argument("--after", type=int, default=500, help="runs before the first look that counts (default: 500)")
    options = parser.parse_args()
    if options.runs % 3 or options.runs < options.after + 100:
        parser.error("--runs must be a multiple of 3, and 100 more than --after")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.runs} runs", flush=True)
    command = [sys.executable, str(HERE / "overhead.py"), "--part", "toolkit", "--runs", str(options.runs)]
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        return 0 if judge(watch(command, Path(folder)), options.runs, options.after) else 1


if __name__ == "__main__":
    sys.exit(main())
