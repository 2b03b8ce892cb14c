"""HD95 and NSD per case: ours against MONAI, surface-distance and medpy, case by case in one alternating run.

    python tests/benchmarks/metrics.py [--root DIR] [--masks 120] [--sizes 256 512]

Real lesion masks from --root (../shared/data/busi_mini where it is), against predictions made from them: moved,
grown, shrunk, or blobs of noise in their place. Every library is asked for both numbers of each case in turn,
with one thread, from the masks in the form that it takes. surface-distance measures borders that run between
pixels, and medpy pools both directions and has no NSD: their times are compared, their numbers cannot be.
Needs `pip install --no-deps monai surface-distance medpy`. Exit code 1 if a number differs from MONAI's by more
than 1e-4, or if surface-distance takes less than twice our time.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import surface_distance
import torch
from medpy.metric import binary as medpy
from monai import metrics as monai

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from utils.datasets.busi import Busi  # noqa: E402
from utils.identity import derive_seed  # noqa: E402
from utils.images.resizing import resize_mask  # noqa: E402
from utils.metrics import METRICS, MaskPair  # noqa: E402

Pair = tuple[np.ndarray, np.ndarray]
TOLERANCE = 2.0


def ours(prediction: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    masks = MaskPair.of(prediction, reference)
    return METRICS["hd95"](masks), METRICS["nsd"](masks, tolerance=TOLERANCE)


def by_monai(prediction: torch.Tensor, reference: torch.Tensor) -> tuple[float, float]:
    hd95 = monai.compute_hausdorff_distance(prediction, reference, include_background=True, percentile=95)
    nsd = monai.compute_surface_dice(prediction, reference, [TOLERANCE], include_background=True)
    return hd95.item(), nsd.item()


def by_surface_distance(prediction: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    distances = surface_distance.compute_surface_distances(reference, prediction, (1.0, 1.0))
    hd95 = surface_distance.compute_robust_hausdorff(distances, 95)
    return hd95, surface_distance.compute_surface_dice_at_tolerance(distances, TOLERANCE)


def by_medpy(prediction: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    return float(medpy.hd95(prediction, reference)), float("nan")


LIBRARIES: dict[str, Callable[..., tuple[float, float]]] = {
    "ours": ours,
    "monai": by_monai,
    "surface-distance": by_surface_distance,
    "medpy": by_medpy,
}


def predicted(reference: np.ndarray, kind: int, seed: int) -> np.ndarray:
    """A drawing of a lesion, boolean: moved (kind 0), grown (1), shrunk (2) or noisy blobs in its place (3)."""
    rng = np.random.default_rng(seed)
    side = reference.shape[0]
    mask = reference.astype(np.uint8)
    reach = max(3, side // 40)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    if kind == 0:
        down, right = rng.integers(-side // 16, side // 16 + 1, 2)
        mask = cv2.warpAffine(mask, np.array([[1, 0, right], [0, 1, down]], dtype=np.float64), mask.shape[::-1])
    elif kind == 1:
        mask = cv2.dilate(mask, brush)
    elif kind == 2:
        mask = cv2.erode(mask, brush)
    else:
        left, top, width, height = cv2.boundingRect(mask)
        mask = np.zeros_like(mask)
        for _ in range(rng.integers(1, 4)):
            centre = int(left + width * rng.random()), int(top + height * rng.random())
            axes = int(max(2, width * rng.uniform(0.2, 0.5))), int(max(2, height * rng.uniform(0.2, 0.5)))
            cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        # Frayed at the edge, as a network's drawing is.
        frayed = cv2.GaussianBlur(rng.random(mask.shape, dtype=np.float32) + mask, (0, 0), side / 128)
        mask = (frayed > 1).astype(np.uint8)
    # Shrunk to nothing there is no border to measure.
    return mask.astype(bool) if mask.any() else reference.copy()


def real_pairs(root: Path, count: int, side: int) -> list[Pair]:
    """Drawn and true masks, boolean (side, side), of cases spread evenly over those that have a lesion."""
    dataset = Busi(root)
    masks = [(case.id, dataset.read_mask(case)) for case in dataset.cases() if case.label != "normal"]
    lesions = [(name, resize_mask(mask, (side, side)).astype(bool)) for name, mask in masks if mask.any()]
    lesions = [lesions[place] for place in np.linspace(0, len(lesions) - 1, count).astype(int)]
    return [
        (predicted(mask, place % 4, derive_seed("benchmark", name, place)), mask)
        for place, (name, mask) in enumerate(lesions)
    ]


def compare(pairs: list[Pair], side: int, rounds: int) -> bool:
    """Prints the times and the ratios; answers whether the numbers are MONAI's and the time is under half."""
    tensors = [tuple(torch.from_numpy(mask[None, None]) for mask in pair) for pair in pairs]
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in pairs] for name in LIBRARIES}
    numbers: dict[str, list[tuple[float, float]]] = {name: [] for name in LIBRARIES}
    for turn in range(rounds):
        for place, pair in enumerate(pairs):
            for name, measure in LIBRARIES.items():
                given = tensors[place] if name == "monai" else pair
                started = time.perf_counter()
                found = measure(*given)
                seconds[name][place].append(time.perf_counter() - started)
                if turn == 0:
                    numbers[name].append(found)
    # A case's time is the median of its rounds; a library's, the mean over cases.
    cost = {name: 1e3 * statistics.fmean(map(statistics.median, cases)) for name, cases in seconds.items()}
    apart = np.abs(np.array(numbers["ours"]) - np.array(numbers["monai"])).max(axis=0)
    print(f"\n{len(pairs)} pairs of {side} x {side}, {rounds} rounds")
    for name, each in cost.items():
        measured = "HD95" if name == "medpy" else "HD95 and NSD"
        print(f"    {name:17} {each:8.3f} ms per case  {each / cost['ours']:7.1f} x ours  ({measured})")
    print(f"    greatest difference to MONAI: HD95 {apart[0]:.1e} px, NSD {apart[1]:.1e}", flush=True)
    return bool(apart.max() <= 1e-4 and cost["surface-distance"] >= 2 * cost["ours"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=REPOSITORY / "../shared/data/busi_mini")
    parser.add_argument("--masks", type=int, default=120)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, OpenCV {cv2.__version__},")
    print(", ".join(f"{name} {version(name)}" for name in ("monai", "surface-distance", "medpy", "torch", "scipy")))
    good = [
        compare(real_pairs(arguments.root, arguments.masks, side), side, arguments.rounds) for side in arguments.sizes
    ]
    return 0 if all(good) else 1


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
