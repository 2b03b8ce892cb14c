"""What a training step costs in this toolkit, against a hand-written plain PyTorch loop of the same network.

    python tests/benchmarks/loop/step.py [--encoder resnet18] [--size 128] [--batch 16] [--steps 8] [--rounds 9]
                                         [--threads 1] [--device cpu|cuda]

Both loops train the same architecture from the same cached pixels, unaugmented, with the same AMP, memory layout,
optimizer, loss and batches. The plain one is what one writes without a toolkit: pixels in one tensor in memory, a
permutation, forward, backward, step. Ours is `TrainingRun`'s own epoch, loader included. They take turns, and which
goes first changes from round to round; the overhead is the median of the rounds' own ratios, by the clock and, which
a busy machine disturbs less, in CPU seconds. Also printed is the share of our time that a step waits for its batch.
Exit code 1 above 2 % of overhead by the clock, or 3 % of waiting.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

from experiments.training.history.clock import PhaseClock  # noqa: E402
from experiments.training.run import TrainingRun  # noqa: E402
from tests.benchmarks.loop.machine import machine  # noqa: E402
from tests.benchmarks.loop.prepared import opened, settings_of, synchronized  # noqa: E402

MOST_OVERHEAD, MOST_WAITING = 0.02, 0.03


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=16, help="images of a step")
    parser.add_argument("--steps", type=int, default=8, help="steps of an epoch")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="step-") as folder:
        return _compare(arguments, Path(folder))


def _compare(arguments: argparse.Namespace, folder: Path) -> int:
    settings = settings_of(arguments.encoder, arguments.size, arguments.batch)
    ours = opened(folder, settings, arguments.steps * arguments.batch, arguments.device, arguments.threads)
    loops: dict[str, Callable[[int], float]] = {"ours": ours._train, "plain": _plain_loop(ours)}
    for loop in loops.values():
        loop(1)  # to warm up
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    worked: dict[str, list[float]] = {name: [] for name in loops}
    ours.clock = PhaseClock()
    for turn in range(arguments.rounds):
        for name in sorted(loops, reverse=bool(turn % 2)):
            before = time.process_time()
            seconds[name].append(synchronized(lambda name=name, turn=turn: loops[name](turn + 2), ours.device))
            worked[name].append(time.process_time() - before)
    waited = ours.clock.spent().get("data", 0.0) / sum(seconds["ours"])
    overhead, of_work = (_overhead(times) for times in (seconds, worked))
    print(f"{arguments.encoder} U-Net, batch {arguments.batch} at {arguments.size} x {arguments.size}, {ours.device}:")
    for name, times in seconds.items():
        steps = [1000 * each / arguments.steps for each in times]
        print(f"    {name:6} {statistics.median(steps):8.1f} ms a step  ({min(steps):.1f} to {max(steps):.1f})")
    print(
        f"    overhead {100 * overhead:+.1f} % (bar {100 * MOST_OVERHEAD:.0f} %); in CPU seconds {100 * of_work:+.1f} %"
    )
    print(f"    waiting for batches {100 * waited:.2f} % of our time (bar {100 * MOST_WAITING:.0f} %)")
    return 0 if overhead < MOST_OVERHEAD and waited < MOST_WAITING else 1


def _overhead(times: Mapping[str, Sequence[float]]) -> float:
    return statistics.median(ours / plain for ours, plain in zip(times["ours"], times["plain"], strict=True)) - 1


def _plain_loop(run: TrainingRun) -> Callable[[int], float]:
    """An epoch as one writes it by hand, of a copy of the run's network."""
    network, loss, device = copy.deepcopy(run.network), copy.deepcopy(run.loss), run.device
    training, cache = run.settings.training, run.cache
    train = [cache.index(case) for case in run.fold.train]
    images = torch.from_numpy(cache.images[train]).unsqueeze(1)
    masks = torch.from_numpy(cache.masks[train]).unsqueeze(1)
    labels = torch.from_numpy(cache.labels[train])
    fused = device.type == "cuda"
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.lr, weight_decay=training.weight_decay, fused=fused or None
    )

    def epoch(number: int) -> float:
        network.train()
        total = torch.zeros((), device=device)
        for index in torch.randperm(len(images)).split(training.batch_size):
            x = images[index].to(device).float().div_(255).contiguous(memory_format=torch.channels_last)
            mask, label = masks[index].to(device).float(), labels[index].to(device)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, dtype=run.amp, enabled=run.amp is not None):
                value = loss(network(x, label), mask, label)
            value.backward()
            optimizer.step()
            total += value.detach() * len(index)
        return float(total) / len(images)

    return epoch


if __name__ == "__main__":
    sys.exit(main())
