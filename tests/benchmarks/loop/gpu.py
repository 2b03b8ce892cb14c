"""What the training loop makes of a GPU: how busy it is, and how many images a second go through it.

    python tests/benchmarks/loop/gpu.py [--part busy throughput packing] [--size 256] [--batch 32] [--steps 16]
                                        [--rounds 5]

- busy: the share of an epoch of a resnet50 U-Net in which a kernel runs, from torch's profiler. Bar 0.95.
- throughput: images a second in the epochs of that network, augmented on the device, against the loop that one writes
  first: PNG files decoded and augmented by albumentations in four DataLoader workers, fp32, contiguous, the loss read
  in every step. By turns; the ratio is the median of the rounds' own. Bar 2.5.
- packing: four resnet18 runs at once, each in a process of its own, against one after the other. Bar 1.5.

Skipped, with exit code 0, where there is no GPU; exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

from experiments.training.run import TrainingRun  # noqa: E402
from tests.benchmarks.loading import AUGMENTATIONS, NaiveDataset  # noqa: E402
from tests.benchmarks.loop.machine import machine  # noqa: E402
from tests.benchmarks.loop.prepared import opened, settings_of, synchronized  # noqa: E402
from utils.datasets.busi import Busi  # noqa: E402
from utils.datasets.phantom import Phantom  # noqa: E402
from utils.images.augmentation import Augmentation  # noqa: E402

BARS = {"busy": 0.95, "throughput": 2.5, "packing": 1.5}
RUNS_AT_ONCE, EPOCHS_OF_A_RUN, WORKERS = 4, 10, 4
ON_DEVICE = {"augmentation": [name for name, _ in AUGMENTATIONS], "augmentation_on": "device"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=list(BARS), default=list(BARS))
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=32, help="images of a step")
    parser.add_argument("--steps", type=int, default=16, help="steps of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(machine())
    if not torch.cuda.is_available():
        print("skipped: there is no GPU here")
        return 0
    parts: dict[str, Callable[[argparse.Namespace, Path], float]] = {
        "busy": busy,
        "throughput": throughput,
        "packing": packing,
    }
    missed = False
    for name in arguments.part:
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
            found = parts[name](arguments, Path(folder))
        print(f"{name}: {found:.2f} (bar {BARS[name]})", flush=True)
        missed |= found < BARS[name]
    return int(missed)


def busy(arguments: argparse.Namespace, folder: Path) -> float:
    """The share of an epoch in which the GPU is at work."""
    run = _run(folder, "resnet50", arguments)
    for epoch in (1, 2):
        run._train(epoch)  # to warm up
    shares = []
    for epoch in range(3, 3 + arguments.rounds):
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            seconds = synchronized(lambda epoch=epoch: run._train(epoch), run.device)
        events = profiler.profiler.kineto_results.events()
        kernels = [each for each in events if each.device_type() == torch.autograd.DeviceType.CUDA]
        shares.append(_covered([(each.start_ns(), each.end_ns()) for each in kernels]) / 1e9 / seconds)
    print(f"    {min(shares):.3f} to {max(shares):.3f} of an epoch")
    return statistics.median(shares)


def _covered(intervals: Sequence[tuple[int, int]]) -> int:
    """The length of the union of intervals, which may overlap."""
    covered = 0
    until: float = float("-inf")
    for start, end in sorted(intervals):
        covered += int(max(0, end - max(start, until)))
        until = max(until, end)
    return covered


def throughput(arguments: argparse.Namespace, folder: Path) -> float:
    """Our images a second over those of the loop that one writes first."""
    run = _run(folder / "ours", "resnet50", arguments)
    cases = arguments.steps * arguments.batch
    theirs = _first_loop(run, folder / "pictures", cases, arguments)
    loops: dict[str, Callable[[int], object]] = {"ours": run._train, "theirs": theirs}
    for loop in loops.values():
        loop(1)  # to warm up, and to start the workers
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(arguments.rounds):
        for name in sorted(loops, reverse=bool(turn % 2)):
            seconds = synchronized(lambda name=name, turn=turn: loops[name](turn + 2), run.device)
            rates[name].append(cases / seconds)
    for name, found in rates.items():
        print(f"    {name:6} {statistics.median(found):7.0f} images/s  ({min(found):.0f} to {max(found):.0f})")
    return statistics.median(a / b for a, b in zip(rates["ours"], rates["theirs"], strict=True))


def _first_loop(run: TrainingRun, folder: Path, cases: int, arguments: argparse.Namespace) -> Callable[[int], float]:
    """An epoch on PNG files of as many pictures."""
    made = Busi(Phantom(cases=cases, height=470, width=560).write_busi_layout(folder))
    dataset = NaiveDataset(made.cases(), made.classes, [], arguments.size, Augmentation(AUGMENTATIONS))
    loader: DataLoader[Any] = DataLoader(
        dataset, arguments.batch, shuffle=True, num_workers=WORKERS, persistent_workers=True, pin_memory=True
    )
    network, loss = copy.deepcopy(run.network).to(memory_format=torch.contiguous_format), copy.deepcopy(run.loss)
    optimizer = torch.optim.AdamW(network.parameters(), lr=run.settings.training.lr)

    def epoch(number: int) -> float:
        network.train()
        total = 0.0
        for images, masks, labels, _ in loader:
            optimizer.zero_grad()
            pixels, mask = images[:, None].to("cuda").float() / 255, masks[:, None].to("cuda").float()
            label = labels.to("cuda")
            value = loss(network(pixels, label), mask, label)
            value.backward()
            optimizer.step()
            total += value.item()
        return total / len(loader)

    return epoch


def packing(arguments: argparse.Namespace, folder: Path) -> float:
    """How much sooner four runs are done at once than one after the other."""
    gains = []
    for turn in range(arguments.rounds):
        alone = _packed(1, folder / f"{turn} alone", arguments)
        together = _packed(RUNS_AT_ONCE, folder / f"{turn} together", arguments)
        gains.append(RUNS_AT_ONCE * alone / together)
        print(f"    a run alone {alone:.2f} s, {RUNS_AT_ONCE} at once {together:.2f} s", flush=True)
    return statistics.median(gains)


def _packed(count: int, folder: Path, arguments: argparse.Namespace) -> float:
    """Seconds until so many runs have done their epochs, all begun at once and warm."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(count, _share, (context.Barrier(count),)) as pool:
        jobs = [(folder / str(slot), arguments) for slot in range(count)]
        return max(pool.starmap(_one_of_them, jobs, chunksize=1))


_start: Any = None


def _share(start: Any) -> None:
    """Gives a process the barrier behind which all runs begin."""
    global _start
    _start = start


def _one_of_them(folder: Path, arguments: argparse.Namespace) -> float:
    run = _run(folder, "resnet18", arguments)
    run._train(1)
    _start.wait()
    return synchronized(lambda: [run._train(epoch) for epoch in range(2, 2 + EPOCHS_OF_A_RUN)], run.device)


def _run(folder: Path, encoder: str, arguments: argparse.Namespace) -> TrainingRun:
    settings = settings_of(encoder, arguments.size, arguments.batch, **ON_DEVICE)
    return opened(folder, settings, arguments.steps * arguments.batch, "cuda", 1)


if __name__ == "__main__":
    sys.exit(main())
