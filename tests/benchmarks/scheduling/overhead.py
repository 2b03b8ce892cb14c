"""What a run costs besides its training: seconds per empty run for this toolkit, Ray Tune as it comes, and a loop.

    python tests/benchmarks/scheduling/overhead.py [--runs 60] [--loop-runs N] [--ray-runs N] [--rounds 2]

An empty run is one that needs torch and segmentation_models_pytorch imported and does nothing with them.

- loop: ``for i in ...; do python train.py; done`` in a shell, where train.py holds just these imports;
- Ray Tune as it comes: one trial a run of a function trainable that imports them, all options at their defaults;
- this toolkit: a sweep on phantoms from its file to its leaderboard by the driver, with everything that a real
  one has (audit, folds, cache, scheduling, ledger, leaderboard, study), but for the training: its place is taken
  by `empty_execution`, which writes the small files of a run and commits its record.

All are measured as whole processes, from the start of Python to its exit, by turns, each in a fresh folder;
medians of the rounds are printed. The loop and Ray take equally long for each run, so that fewer will do (--loop-runs
10 --ray-runs 20) where minutes count; the toolkit's share of start-up is spread over all --runs. Steady is the
time between the toolkit's first and last record, divided by the runs in between. Exit code 1 if a bar is missed:
20 times cheaper than Ray Tune as it comes, 30 times cheaper than the loop, steady below 30 ms.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

Answer = TypeVar("Answer")

FOLDS = 3
CHEAPER_THAN_RAY, CHEAPER_THAN_LOOP, STEADY_MS = 20, 30, 30

SWEEP = """
name: overhead
question: What does a run cost besides its training?
dataset: {{name: phantom, image_size: 64, options: {{cases: 60, height: 64, width: 64}}}}
folds: {{k: {folds}}}
model: {{encoder: resnet18, encoder_weights: none}}
training: {{epochs: 1}}
search: {{grid: {{training.lr: {rates}}}}}
"""

TRAIN = "import segmentation_models_pytorch\nimport torch\n"


def run_toolkit(folder: Path, runs: int) -> None:
    """The sweep, as run_sweep.py drives it, with an empty execution in the place of training."""
    from rich.console import Console

    from experiments.console.interruption import Interruption
    from experiments.sweep import load_sweep

    sweep_file = folder / "overhead.yaml"
    rates = [round(1e-4 * (1 + index), 6) for index in range(runs // FOLDS)]
    sweep_file.write_text(SWEEP.format(folds=FOLDS, rates=rates))
    with Interruption() as interruption:
        sweep = load_sweep(sweep_file)
        from experiments.driver import Driver

        driver = Driver(sweep, folder / "results", Console(), interruption, execution="empty_execution:EmptyExecution")
        sys.exit(driver.run())


def run_ray(folder: Path, runs: int) -> None:
    """Ray Tune with nothing set but where it puts its files."""
    from ray import tune

    def train(config: dict[str, int]) -> None:
        import segmentation_models_pytorch  # noqa: F401
        import torch  # noqa: F401

        tune.report({"run": config["run"]})

    tuner = tune.Tuner(
        train,
        param_space={"run": tune.grid_search(list(range(runs)))},
        run_config=tune.RunConfig(storage_path=str(folder)),
    )
    if tuner.fit().num_errors:
        sys.exit("Ray Tune ended with errors")


def measure_loop(folder: Path, runs: int) -> float:
    """Seconds per run."""
    (folder / "train.py").write_text(TRAIN)
    loop = f'i=0; while [ $i -lt {runs} ]; do "$0" train.py || exit 1; i=$((i+1)); done'
    return _seconds(["sh", "-c", loop, sys.executable], folder) / runs


def measure_ray(folder: Path, runs: int) -> float:
    """Seconds per run."""
    return _seconds([sys.executable, __file__, "--part", "ray", "--runs", str(runs)], folder) / runs


def measure_toolkit(folder: Path, runs: int) -> tuple[float, float]:
    """Seconds per run: of the whole, and from the first record to the last.

    Checks that every run has its record and every configuration its rank.
    """
    seconds = _seconds([sys.executable, __file__, "--part", "toolkit", "--runs", str(runs)], folder)
    records = [json.loads(path.read_text()) for path in (folder / "results/runs").glob("*/*/fold-*/record.json")]
    with (folder / "results/overhead.csv").open(newline="", encoding="utf-8") as file:
        ranks = [row["rank"] for row in csv.DictReader(file) if row["status"] == "complete"]
    if len(records) != runs or sorted(map(int, ranks)) != list(range(1, runs // FOLDS + 1)):
        sys.exit(f"the sweep did not complete: {len(records)} records, ranks {ranks}")
    ends = sorted(datetime.fromisoformat(record["finished"]) for record in records)
    return seconds / runs, (ends[-1] - ends[0]).total_seconds() / (runs - 1)


def _seconds(command: list[str], folder: Path) -> float:
    """Wall time of a command that has to succeed. Its Ray, if any, is its own, whatever else runs here."""
    environment = {**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(REPOSITORY)}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout.decode(errors='replace')[-4000:]}")
    return seconds


def compare(runs: int, loop_runs: int, ray_runs: int, rounds: int) -> bool:
    """Measures by turns, prints, and answers whether every bar is met."""
    print(f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    loops, rays, ours, steady = [], [], [], []
    for number in range(1, rounds + 1):
        loops.append(_in_folder(measure_loop, loop_runs))
        seconds, pace = _in_folder(measure_toolkit, runs)
        ours.append(seconds)
        steady.append(pace)
        rays.append(_in_folder(measure_ray, ray_runs))
        print(
            f"round {number}: loop {loops[-1]:.2f} s, Ray Tune {rays[-1]:.2f} s, this toolkit {ours[-1]:.3f} s a run, "
            f"steady {1000 * pace:.1f} ms; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    loop, ray, mine = statistics.median(loops), statistics.median(rays), statistics.median(ours)
    steady_ms = 1000 * statistics.median(steady)
    print(f"medians of {rounds} rounds, seconds per run, whole process:")
    print(f"    shell loop            {loop:8.3f}   ({loop_runs} runs a round)")
    print(f"    Ray Tune as it comes  {ray:8.3f}   ({ray_runs} runs a round)")
    print(f"    this toolkit          {mine:8.3f}   ({runs} runs a round; {mine * runs:.1f} s in all)")
    start_up = mine * runs - steady_ms / 1000 * (runs - 1)
    needed = min(ray / CHEAPER_THAN_RAY, loop / CHEAPER_THAN_LOOP) - steady_ms / 1000
    if needed > 0:
        print(f"{start_up:.1f} s of ours are paid once a sweep; both ratios hold from {start_up / needed:.0f} runs on")
    return all(
        [
            _at_least("times cheaper than Ray Tune as it comes", ray / mine, CHEAPER_THAN_RAY),
            _at_least("times cheaper than the shell loop", loop / mine, CHEAPER_THAN_LOOP),
            _verdict("ms steady overhead of a run", steady_ms, f"below {STEADY_MS}", steady_ms < STEADY_MS),
        ]
    )


def _at_least(what: str, value: float, bar: float) -> bool:
    return _verdict(what, value, f"at least {bar}", value >= bar)


def _verdict(what: str, value: float, bar: str, met: bool) -> bool:
    print(f"{'PASS' if met else 'FAIL'}  {value:6.1f} {what} ({bar})")
    return met


def _in_folder(measure: Callable[[Path, int], Answer], runs: int) -> Answer:
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        return measure(Path(folder), runs)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60, help="empty runs, a multiple of 3")
    parser.add_argument("--loop-runs", type=int, help="runs of the loop, if other than --runs")
    parser.add_argument("--ray-runs", type=int, help="runs of Ray Tune as it comes, if other than --runs")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--part", choices=["toolkit", "ray"], help="just this, here, unmeasured: for profiling it")
    arguments = parser.parse_args()
    runs = arguments.runs
    if runs < FOLDS or runs % FOLDS:
        parser.error(f"--runs must be a multiple of {FOLDS}")
    if arguments.part:
        {"toolkit": run_toolkit, "ray": run_ray}[arguments.part](Path.cwd(), runs)
        return 0
    return 0 if compare(runs, arguments.loop_runs or runs, arguments.ray_runs or runs, arguments.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
