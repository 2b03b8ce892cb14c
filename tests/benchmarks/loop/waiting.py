"""How long steps wait for the loader when every slot of the machine trains.

    python tests/benchmarks/loop/waiting.py [--slots 2] [--encoder resnet18] [--size 128] [--batch 16] [--steps 8]
                                            [--epochs 5] [--augmentation flip rotate ...]

Each slot is a process with one thread, as in a sweep. Printed is the share of its epochs in which a process waited for
its next batch, augmentation included: reading, augmenting and stacking happen in the training process, since there is
no core to spare for another. Exit code 1 if a slot waits for more than 3 % of its time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

from tests.benchmarks.loop.machine import machine  # noqa: E402

MOST_WAITING = 0.03
AUGMENTATIONS = ["flip", "rotate", "shift_scale", "brightness_contrast"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=os.cpu_count())
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=16, help="images of a step")
    parser.add_argument("--steps", type=int, default=8, help="steps of an epoch")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--augmentation", nargs="*", default=AUGMENTATIONS, metavar="NAME")
    arguments = parser.parse_args()
    print(machine())
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(arguments.slots)
    with (
        tempfile.TemporaryDirectory(prefix="waiting-") as folder,
        context.Pool(arguments.slots, _share, (start,)) as pool,
    ):
        jobs = [(Path(folder) / str(slot), vars(arguments)) for slot in range(arguments.slots)]
        shares = pool.starmap(slot_waits, jobs, chunksize=1)
    print(f"{arguments.encoder} U-Net, batch {arguments.batch} at {arguments.size} x {arguments.size}, CPU:")
    for slot, (waited, step) in enumerate(shares):
        print(f"    slot {slot}: {1000 * step:.1f} ms a step, {100 * waited:.2f} % of it waiting for the loader")
    print(f"    bar {100 * MOST_WAITING:.0f} %")
    return 0 if max(waited for waited, _ in shares) < MOST_WAITING else 1


_start: Any = None


def _share(start: Any) -> None:
    """Gives a process the barrier behind which all slots begin."""
    global _start
    _start = start


def slot_waits(folder: Path, arguments: dict[str, Any]) -> tuple[float, float]:
    """The share of its time that one slot waits for batches, and the seconds of a step, waiting included."""
    from experiments.training.history.clock import PhaseClock
    from tests.benchmarks.loop.prepared import opened, settings_of

    settings = settings_of(
        arguments["encoder"], arguments["size"], arguments["batch"], augmentation=arguments["augmentation"]
    )
    run = opened(folder, settings, arguments["steps"] * arguments["batch"], "cpu", 1)
    run._train(1)
    _start.wait()
    run.clock = PhaseClock()
    with run.clock.phase("training"):
        for epoch in range(2, 2 + arguments["epochs"]):
            run._train(epoch)
    spent = run.clock.spent()
    total = spent["training"] + spent["data"]
    return spent["data"] / total, total / (arguments["epochs"] * arguments["steps"])


if __name__ == "__main__":
    sys.exit(main())
