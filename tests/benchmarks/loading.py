"""Augmented samples per second: the cache against a data set that reads its PNG files every epoch.

    python tests/benchmarks/loading.py [--root DIR] [--size 256]

Without --root, on made images of BUSI's size, and on the real ones in ../shared/data/busi_mini where they
are. Both loaders give the same samples (checked first), in one process, by turns; medians of the rounds are
printed. The naive loader calls OpenCV directly, so that none of the toolkit's checks slow it down. Files are
in the page cache for both. Exit code 1 if a ratio is below 5.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from experiments.training.batches import CaseDataset  # noqa: E402
from utils.datasets.busi import Busi  # noqa: E402
from utils.datasets.case import Case  # noqa: E402
from utils.datasets.phantom import Phantom  # noqa: E402
from utils.identity import derive_seed  # noqa: E402
from utils.images.augmentation import Augmentation  # noqa: E402
from utils.images.cache import ImageCache, build_cache  # noqa: E402
from utils.images.preprocessing import preprocess  # noqa: E402
from utils.images.resizing import resize_image, resize_mask  # noqa: E402

Parts = Sequence[tuple[str, dict[str, Any]]]
Sample = tuple[np.ndarray, np.ndarray, int, int]

AUGMENTATIONS: Parts = [("flip", {}), ("rotate", {}), ("shift_scale", {}), ("brightness_contrast", {})]
PREPROCESSINGS: dict[str, Parts] = {"none": [], "median, clahe": [("median", {}), ("clahe", {})]}


class NaiveDataset(torch.utils.data.Dataset[Sample]):
    """What one writes first: every sample is read, preprocessed and resized whenever it is asked for."""

    def __init__(
        self, cases: Sequence[Case], classes: Sequence[str], parts: Parts, size: int, augmentation: Augmentation
    ) -> None:
        self.cases, self.classes, self.parts, self.size = cases, list(classes), parts, size
        self.augmentation = augmentation
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, item: int) -> Sample:
        case = self.cases[item]
        image = np.asarray(cv2.imread(str(case.image), cv2.IMREAD_GRAYSCALE))
        mask = np.zeros(image.shape, np.uint8)
        for path in case.masks:
            mask |= np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) > 0
        size = (self.size, self.size)
        image, mask = resize_image(preprocess(image, self.parts), size), resize_mask(mask, size)
        image, mask = self.augmentation(image, mask, derive_seed(0, "augmentation", self.epoch, case.id))
        return image, mask, self.classes.index(case.label), item


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="a folder in the layout of BUSI")
    parser.add_argument("--size", type=int, default=256, help="side of the samples in pixels")
    parser.add_argument("--cases", type=int, default=120, help="how many cases are loaded in a round")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    # One thread for each loader, as in a sweep, where every core has a run of its own.
    cv2.setNumThreads(1)
    print(f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, OpenCV {cv2.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        roots = [arguments.root] if arguments.root else _default_roots(Path(temporary), arguments.cases)
        ratios = [
            _compare(root, name, arguments.size, arguments.cases, arguments.rounds, Path(temporary) / "cache")
            for root in roots
            for name in PREPROCESSINGS
        ]
    return 0 if min(ratios) >= 5 else 1


def _default_roots(folder: Path, cases: int) -> list[Path]:
    made = Phantom(cases=cases, height=470, width=560).write_busi_layout(folder / "phantoms of 560 x 470")
    real = REPOSITORY / "../shared/data/busi_mini"
    return [made, real] if real.is_dir() else [made]


def _compare(root: Path, preprocessing: str, size: int, count: int, rounds: int, folder: Path) -> float:
    """Prints both rates and answers their ratio."""
    dataset, parts, augmentation = Busi(root), PREPROCESSINGS[preprocessing], Augmentation(AUGMENTATIONS)
    cases = dataset.cases()
    cases = cases[:: max(1, len(cases) // count)][:count]
    started = time.perf_counter()
    cache = ImageCache(build_cache(dataset, cases, parts, (size, size), folder, workers=os.cpu_count() or 1))
    building = time.perf_counter() - started
    ours = CaseDataset(cache, range(len(cache)), augmentation, seed=0)
    naive = NaiveDataset(cases, dataset.classes, parts, size, augmentation)
    _assert_equal(ours, naive)
    rates: dict[str, list[float]] = {"ours": [], "naive": []}
    for epoch in range(rounds):
        ours.epoch = naive.epoch = epoch
        rates["naive"].append(_rate(naive.__getitem__, len(cases)))
        # As long as the other's turn, so that both see the machine in the same moods.
        repeats = max(1, round(statistics.median(rates["ours"] or [0]) / rates["naive"][0]))
        rates["ours"].append(_rate(ours.__getitem__, len(cases), repeats))
    fast, slow = statistics.median(rates["ours"]), statistics.median(rates["naive"])
    print(f"{root.name}, {len(cases)} cases to {size} x {size}, preprocessing {preprocessing}:")
    print(f"    naive  {slow:7.0f} samples/s  ({min(rates['naive']):.0f} to {max(rates['naive']):.0f})")
    print(f"    cache  {fast:7.0f} samples/s  ({min(rates['ours']):.0f} to {max(rates['ours']):.0f})")
    print(f"    ratio  {fast / slow:7.1f}; the cache was built in {building:.2f} s")
    print(f"    of {1e6 / fast:.0f} us a sample: {_profile(cache, augmentation)}", flush=True)
    return fast / slow


def _assert_equal(ours: CaseDataset, naive: NaiveDataset) -> None:
    for epoch in (0, 1):
        ours.epoch = naive.epoch = epoch
        for position in range(len(ours)):
            for one, other in zip(ours[position], naive[position], strict=True):
                np.testing.assert_array_equal(one, other)


def _rate(load: Callable[[int], object], count: int, repeats: int = 1) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        for position in range(count):
            load(position)
    return count * repeats / (time.perf_counter() - started)


def _profile(cache: ImageCache, augmentation: Augmentation) -> str:
    """Where the time of a sample goes: the seed, and each augmentation for itself."""
    nothing = Augmentation([])
    steps: dict[str, Callable[[int], object]] = {
        "deriving the seed": lambda position: derive_seed(0, "augmentation", 0, cache.ids[position]),
        "copying and setting it": lambda position: nothing(cache.images[position], cache.masks[position], position),
    }
    for part in augmentation.parts:
        alone = Augmentation([part])
        steps[part[0]] = lambda position, alone=alone: alone(cache.images[position], cache.masks[position], position)
    times = {}
    for name, step in steps.items():
        times[name] = statistics.median(1e6 / _rate(step, len(cache)) for _ in range(5))
    for name, _ in augmentation.parts:
        times[name] -= times["copying and setting it"]
    return ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in times.items())


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
