"""How fast the image cache is built, against a bare loop that decodes and resizes the same files on all cores.

    python tests/benchmarks/loop/cache.py [--root DIR] [--size 256] [--cases 240] [--rounds 5]

Without --root, on made images of BUSI's size, and on the real ones in ../shared/data/busi_mini where they are. The bare
loop reads every image and its masks with OpenCV, merges and resizes them, in as many threads as there are cores, and
forgets them: no hash, no checks, no masks at their own resolution, no file. By turns, each in a fresh folder, with all
files in the page cache; the ratio is the median of the rounds' own. Exit code 1 if one is below 0.8.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

from tests.benchmarks.loop.machine import processor  # noqa: E402
from utils.datasets.busi import Busi  # noqa: E402
from utils.datasets.case import Case  # noqa: E402
from utils.datasets.phantom import Phantom  # noqa: E402
from utils.images.cache import build_cache  # noqa: E402
from utils.images.resizing import resize_image  # noqa: E402

BAR = 0.8
CORES = os.cpu_count() or 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="a folder in the layout of BUSI")
    parser.add_argument("--size", type=int, default=256, help="side of the cached images in pixels")
    parser.add_argument("--cases", type=int, default=240, help="how many cases there are in a cache")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # the threads are ours, in both
    print(f"{processor()}; Python {platform.python_version()}, OpenCV {cv2.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        roots = [arguments.root] if arguments.root else _default_roots(Path(temporary), arguments.cases)
        ratios = [_compare(root, arguments, Path(temporary)) for root in roots]
    return 0 if min(ratios) >= BAR else 1


def _default_roots(folder: Path, cases: int) -> list[Path]:
    made = Phantom(cases=cases, height=470, width=560).write_busi_layout(folder / "phantoms of 560 x 470")
    real = REPOSITORY / "../shared/data/busi_mini"
    return [made, real] if real.is_dir() else [made]


def _compare(root: Path, arguments: argparse.Namespace, temporary: Path) -> float:
    dataset, size = Busi(root), (arguments.size, arguments.size)
    cases = dataset.cases()
    cases = cases[:: max(1, len(cases) // arguments.cases)][: arguments.cases]
    _bare(cases, size)  # to warm up: the files come into the page cache
    bare, built = [], []
    for _ in range(arguments.rounds):
        bare.append(_bare(cases, size))
        with tempfile.TemporaryDirectory(dir=temporary) as folder:
            started = time.perf_counter()
            build_cache(dataset, cases, [], size, Path(folder), workers=CORES)
            built.append(time.perf_counter() - started)
    ratio = statistics.median(one / other for one, other in zip(bare, built, strict=True))
    print(f"{root.name}, {len(cases)} cases to {arguments.size} x {arguments.size}, {CORES} threads:")
    for name, seconds in (("bare loop", bare), ("cache", built)):
        rates = [len(cases) / each for each in seconds]
        print(f"    {name:10} {statistics.median(rates):6.0f} cases/s  ({min(rates):.0f} to {max(rates):.0f})")
    print(f"    ratio      {ratio:6.2f}  (bar {BAR})", flush=True)
    return ratio


def _bare(cases: Sequence[Case], size: tuple[int, int]) -> float:
    """Seconds of the loop that does nothing but what must be done."""

    def work(case: Case) -> None:
        image = np.asarray(cv2.imread(str(case.image), cv2.IMREAD_GRAYSCALE))
        masks = [np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) for path in case.masks]
        resize_image(image, size), resize_image(np.maximum.reduce(masks), size)

    started = time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(work, cases))
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
