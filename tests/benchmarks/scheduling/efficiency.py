"""How much of a sweep's slot time goes into steps, and how long it takes beside the same runs under Ray Tune alone.

    python tests/benchmarks/scheduling/efficiency.py [--encoders N] [--folds 3] [--epochs N] [--rounds 1]

The sweep is the demo of sweeps/encoders.yaml: 24 encoders x 3 folds = 72 runs, some ten minutes on two quiet cores.

- this toolkit: the command, ``run_sweep.py sweeps/encoders.yaml --demo``, without its report. Efficiency is what its
  own account says: slot-seconds in steps of training and validation over slots x wall-clock, first to last run;
- Ray Tune as it comes: the same runs, one trial each, by a function trainable that does a run's work with this
  toolkit's own `Execution`, all of Ray Tune's options at their defaults: no process is used twice.

Both have one core a run, and read images that were prepared in the same way. Wall-clock is that of whole processes,
from the start of Python to its exit, by turns, each in a fresh folder. --encoders takes so many, evenly over the list,
for a try. Exit code 1 if a bar is missed: an efficiency of at least 0.90, a wall time of at most 0.6 of Ray Tune's.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

from experiments.accounting.balance import Balance, balance, spent_in  # noqa: E402
from experiments.accounting.sessions import read_sessions  # noqa: E402
from experiments.accounting.wording import slot_time  # noqa: E402
from experiments.sweep import load_sweep  # noqa: E402

SWEEP = REPOSITORY / "sweeps" / "encoders.yaml"
LEAST_EFFICIENCY, MOST_OF_RAY = 0.90, 0.6


def changes_of(encoders: int | None, folds: int, epochs: int | None) -> list[str]:
    """What ``--set`` makes of the demo, for both sides."""
    every = [one.settings.model.encoder.name for one in load_sweep(SWEEP, demo=True).configurations]
    count = len(every) if encoders is None else min(encoders, len(every))
    chosen = [every[index * len(every) // count] for index in range(count)]
    changes = [f"search.grid={{model.encoder: [{', '.join(chosen)}]}}", f"folds.use={folds}"]
    return changes + ([f"training.epochs={epochs}"] if epochs else [])


def specs(changes: Sequence[str], results: Path) -> list[dict[str, Any]]:
    """All runs of the sweep, as JSON-like values, with what they read made ready under `results`."""
    from experiments.preparation.provision import provide
    from experiments.preparation.survey import open_sources, survey
    from experiments.sweep import nested
    from experiments.training import TRAINING_VERSION
    from experiments.training.spec import RunSpec

    def silent(stage: str, done: int, total: int) -> None:
        """Nobody watches."""

    sweep = load_sweep(SWEEP, list(changes), demo=True, results=results)
    found = survey(sweep, open_sources(sweep, silent))
    provisions = provide(found, sweep, results, silent)
    made = []
    for planned in found.planned:
        given = provisions[planned.id]
        for fold in range(planned.folds):
            spec = RunSpec(
                sweep=sweep.name,
                configuration=planned.id,
                name=planned.configuration.name,
                fold=fold,
                settings=nested(planned.configuration.settings),
                folder=results / "runs" / sweep.name / planned.id / f"fold-{fold}",
                cache=given.cache,
                split_file=given.split_file,
                weights=given.weights,
                data=planned.source.data,
                split=planned.split.hash,
                code=TRAINING_VERSION,
            )
            made.append(spec.to_json())
    return made


def run_ray(folder: Path, changes: Sequence[str]) -> None:
    """Ray Tune with nothing set but where it puts its files."""
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        from experiments.training.execution import Execution
        from experiments.training.spec import RunSpec

        execution, ended = Execution(RunSpec.from_json(config["spec"])), False
        while not ended:
            progress = execution.step()
            tune.report({"epoch": progress.epoch, "objective": progress.objective})
            ended = progress.ended

    tuner = tune.Tuner(
        train,
        param_space={"spec": tune.grid_search(specs(changes, folder / "results"))},
        run_config=tune.RunConfig(storage_path=str(folder / "ray")),
    )
    if tuner.fit().num_errors:
        sys.exit("Ray Tune ended with errors")


def measure_toolkit(folder: Path, changes: Sequence[str], runs: int) -> tuple[float, Balance]:
    """Seconds of the whole command, and where its slot time went."""
    command = [sys.executable, str(REPOSITORY / "run_sweep.py"), str(SWEEP), "--demo", "--no-report"]
    given = [part for change in changes for part in ("--set", change)]
    seconds = _seconds([*command, "--results", str(folder / "results"), *given], folder)
    _check_records(folder, runs)
    [root] = (folder / "results" / "runs").iterdir()
    found = balance(read_sessions(root), spent_in(root))
    assert found is not None, "the command has noted its session"
    return seconds, found


def measure_ray(folder: Path, changes: Sequence[str], runs: int) -> float:
    """Seconds of the whole process."""
    given = [part for change in changes for part in ("--set", change)]
    seconds = _seconds([sys.executable, __file__, "--part", "ray", *given], folder)
    _check_records(folder, runs)
    return seconds


def _check_records(folder: Path, runs: int) -> None:
    records = len(list((folder / "results" / "runs").glob("*/*/fold-*/record.json")))
    if records != runs:
        sys.exit(f"{records} of {runs} runs have their record")


def _seconds(command: list[str], folder: Path) -> float:
    """Wall time of a command that has to succeed. Its Ray, if any, is its own, whatever else runs here."""
    environment = {**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(REPOSITORY)}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout.decode(errors='replace')[-4000:]}")
    return seconds


def compare(changes: Sequence[str], runs: int, rounds: int) -> bool:
    """Measures by turns, prints, and answers whether both bars are met."""
    print(f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    ours, rays, efficiencies = [], [], []
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory(prefix="efficiency-") as folder:
            seconds, found = measure_toolkit(Path(folder), changes, runs)
        ours.append(seconds)
        efficiencies.append(found.efficiency)
        print(f"round {number}: this toolkit {seconds:.0f} s. {slot_time(found)}", flush=True)
        with tempfile.TemporaryDirectory(prefix="efficiency-") as folder:
            rays.append(measure_ray(Path(folder), changes, runs))
        print(f"round {number}: Ray Tune {rays[-1]:.0f} s; load {os.getloadavg()[0]:.1f}", flush=True)
    mine, ray, efficiency = (statistics.median(each) for each in (ours, rays, efficiencies))
    print(f"medians of {rounds} rounds of {runs} runs: this toolkit {mine:.0f} s, Ray Tune as it comes {ray:.0f} s")
    return all(
        [
            _verdict(
                "of the slot time in steps",
                efficiency,
                f"at least {LEAST_EFFICIENCY}",
                efficiency >= LEAST_EFFICIENCY,
            ),
            _verdict("of Ray Tune's wall time", mine / ray, f"at most {MOST_OF_RAY}", mine / ray <= MOST_OF_RAY),
        ]
    )


def _verdict(what: str, value: float, bar: str, met: bool) -> bool:
    print(f"{'PASS' if met else 'FAIL'}  {value:6.3f} {what} ({bar})")
    return met


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", type=int, help="so many of the 24, evenly over the list")
    parser.add_argument("--folds", type=int, default=3, choices=(1, 2, 3))
    parser.add_argument("--epochs", type=int, help="instead of the demo's own")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--part", choices=["ray"], help="just this, here, unmeasured: for profiling it")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="for --part: what changes the demo")
    given = parser.parse_args()
    if given.part:
        run_ray(Path.cwd(), given.changes)
        return 0
    changes = changes_of(given.encoders, given.folds, given.epochs)
    sweep = load_sweep(SWEEP, changes, demo=True)
    return 0 if compare(changes, len(sweep.configurations) * given.folds, given.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
