"""A large network at a batch that does not fit: what it goes down to, and whether the masks are as good as ever.

    python tests/benchmarks/ladder.py [--encoder NAME] [--size PIXELS] [--batch CASES] [--room MIB] [--epochs N]
                                      [--cases N] [--seeds N]

On a GPU `--room` is how much of its memory the process may have, on the CPU how much private memory beyond what it
begins with. Each attempt is a process of its own. Printed are the peak and the outcome of every attempt, the Dice on
the test part, and over several seeds, whose spread is the noise, that of runs without a limit: with the whole batch,
which the ladder is to stand in for, and with a batch as small as the micro-batch that was reached, which makes more
steps in as many epochs. Exit code 1 if the run did not complete, or if its Dice is further below that of the small
batch than two of its standard deviations: train for long enough that the number of steps no longer matters.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from experiments.ledger.record import Record, read  # noqa: E402
from experiments.training.adjustments import Adjustments  # noqa: E402
from experiments.training.spec import RunSpec  # noqa: E402
from tests.experiments.training.devices.confined import DIED, attempt, phantoms, spec_of  # noqa: E402

CUDA = torch.cuda.is_available()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="efficientnet-b7" if CUDA else "resnet18")
    parser.add_argument("--size", type=int, default=512 if CUDA else 128, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=64 if CUDA else 16, help="images of a step")
    parser.add_argument("--room", type=float, default=16_000 if CUDA else 500, help="MiB that the process may have")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--cases", type=int, default=512 if CUDA else 64, help="phantoms, of which half train")
    parser.add_argument("--seeds", type=int, default=3, help="runs without a limit, of each kind; two at least")
    arguments = parser.parse_args()
    print(f"{_machine()}; Python {platform.python_version()}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory(prefix="ladder-") as folder:
        return _compare(arguments, Path(folder))


def _compare(arguments: argparse.Namespace, folder: Path) -> int:
    data = phantoms(folder / "data", arguments.size, arguments.cases)
    device = "cuda" if CUDA else "cpu"
    spec = spec_of(folder / "large", data, _settings(arguments, arguments.batch, 1), device)
    print(
        f"{arguments.encoder}, batch {arguments.batch} at {arguments.size} x {arguments.size}, {arguments.room:g} MiB:"
    )
    record = _climbed(spec, arguments.room)
    if record is None or record.status != "complete":
        print(f"failed: {record.error if record else 'its process died three times'}")
        return 1
    print(f"adjustments: {'; '.join(record.adjustments) or 'none'}")
    small = Adjustments.read(spec.folder).micro_batch or arguments.batch
    ours = _dice(record)
    print(f"Dice {ours:.4f}; without a limit, mean and standard deviation over {arguments.seeds} seeds:", flush=True)
    for batch_size in (arguments.batch, small):
        dice = []
        for seed in range(1, arguments.seeds + 1):
            settings = _settings(arguments, batch_size, seed)
            other = spec_of(folder / f"{batch_size}-{seed}", data, settings, device)
            peak, _ = attempt(other, float("inf"))
            dice.append(_dice(read(other.folder)))
            print(f"  batch {batch_size}, seed {seed}: {peak:7.0f} MiB, Dice {dice[-1]:.4f}", flush=True)
        mean, noise = statistics.mean(dice), statistics.stdev(dice)
        away = (ours - mean) / noise
        print(f"  batch {batch_size}: {mean:.4f} +- {noise:.4f}; the limited run is {away:+.1f} deviations from there")
    return 0 if ours >= mean - 2 * noise else 1


def _climbed(spec: RunSpec, room: float) -> Record | None:
    """Attempts until there is a record; None if its process dies as often as a sweep would bear."""
    deaths, outcome = 0, ""
    while outcome != "ended" and deaths <= 2:
        peak, outcome = attempt(spec, room)
        deaths += outcome == DIED
        print(f"  {peak:7.0f} MiB: {outcome}", flush=True)
    return read(spec.folder)


def _settings(arguments: argparse.Namespace, batch_size: int, seed: int) -> dict[str, Any]:
    return {
        "dataset": {"name": "phantom", "image_size": arguments.size},
        "model": {"encoder": arguments.encoder, "encoder_weights": "none", "batch_norm_momentum": 0.1},
        "training": {"epochs": arguments.epochs, "batch_size": batch_size, "lr": 1e-3, "seed": seed},
    }


def _dice(record: Record | None) -> float:
    if record is None or record.metrics.get("dice") is None:
        raise SystemExit(f"a run without a Dice: {record.error if record else 'no record'}")
    return float(record.metrics["dice"] or 0.0)


def _machine() -> str:
    if CUDA:
        return torch.cuda.get_device_name()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
