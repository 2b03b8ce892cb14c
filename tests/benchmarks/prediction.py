"""Images per second through ``experiments.predict``, against a loop that takes one image after the other.

    python tests/benchmarks/prediction.py [--images 2000] [--encoders resnet18 ...] [--size 128] [--amp bf16]

The images are made ones, as PNG files. Both sides read, preprocess (median and CLAHE), resize, ask the same networks,
resize the averaged map to the image's size and write the same files, as PNG: the mask alone, or what the command writes
if not told otherwise, mask, probability map and a sheet to look at:

- loop: as one would write it: one image at a time, all cores of torch on each, sheets by matplotlib;
- flow: what the command does, with its table; --amp bf16 is mixed precision on this side alone.

Both are timed in turns, on `--share` of the images for the loop, whose images all take the same. Memory is this
process's resident size over the images of the last flow; ms are of the processor, all threads together, for one image:
they tell what the work is on a machine that others use, too. Networks have random weights: they take as long as trained
ones. Prints where the loop's time goes: what is in the network cannot be hidden behind reading and writing.
Exit code 1 if the flow is less than 3 times as fast in any row, or its memory grows.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from experiments.prediction import Ensemble, Inference, Member  # noqa: E402
from experiments.prediction.images.flow import Flow, Wishes  # noqa: E402
from experiments.prediction.images.sources import Source, find_images  # noqa: E402
from experiments.prediction.images.truth import TrueMasks  # noqa: E402
from experiments.prediction.preparation import Preparation  # noqa: E402
from experiments.sweep import Settings  # noqa: E402
from models.network import Network  # noqa: E402
from utils.datasets.phantom import Phantom  # noqa: E402
from utils.images.reading import read_image  # noqa: E402

BAR = 3.0
GROWTH = 1.1
"""What the resident size at the end may be, in those after a quarter of the images."""
WRITTEN = {"mask": ("mask",), "all": ("mask", "probability", "sheet")}
_DISTINCT = 100


def make_images(folder: Path, count: int, side: int) -> tuple[Source, ...]:
    """PNG files of about `side` pixels, of which a hundred differ."""
    dataset = Phantom(cases=min(count, _DISTINCT), height=side, width=side)
    folder.mkdir()
    for number, case in enumerate(dataset.cases()):
        cv2.imwrite(str(folder / f"{number:05d}.png"), dataset.read_image(case))
    for number in range(_DISTINCT, count):
        shutil.copy(folder / f"{number % _DISTINCT:05d}.png", folder / f"{number:05d}.png")
    return find_images([str(folder)], folder.parent / "out").sources


def ensemble_of(encoder: str, members: int, size: int) -> Ensemble:
    """Networks with random weights."""
    settings = Settings.model_validate({"dataset": {"image_size": size, "preprocessing": ["median", "clahe"]}})
    preparation = Preparation.of(settings)
    made = []
    for number in range(members):
        torch.manual_seed(number)
        network = Network(encoder, classes=3).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        made.append(Member(f"{number}", f"{number}", network, preparation))
    return Ensemble(tuple(made), ("benign", "malignant", "normal"), torch.device("cpu"))


@torch.no_grad()
def loop(ensemble: Ensemble, sources: Sequence[Source], output: Path, kinds: Sequence[str]) -> tuple[float, float]:
    """Seconds of one image after the other; and those of them in the networks."""
    output.mkdir(parents=True, exist_ok=True)
    inside = 0.0
    started = time.perf_counter()
    for source in sources:
        image = read_image(source.path)
        batch = torch.from_numpy(ensemble.members[0].preparation(image)).float().div(255)[None, None]
        entered = time.perf_counter()
        outputs = [member.network(batch) for member in ensemble.members]
        logits = torch.stack([found.masks for found in outputs]).mean(dim=0)
        classes = torch.stack([found.labels for found in outputs]).mean(dim=0).softmax(dim=1)
        inside += time.perf_counter() - entered
        size = image.shape[::-1]
        probability = cv2.resize(logits.sigmoid()[0, 0].numpy(), size)
        mask = (probability > 0.5).astype(np.uint8)
        cv2.imwrite(str(output / f"{source.stem}_mask.png"), mask * 255)
        if "probability" in kinds:
            cv2.imwrite(str(output / f"{source.stem}_probability.png"), (probability * 65535).astype(np.uint16))
        if "sheet" in kinds:
            maps = torch.stack([found.masks for found in outputs]).sigmoid()[:, 0, 0]
            spread = cv2.resize(maps.std(dim=0).numpy(), size)
            by_matplotlib(image, mask, spread, classes[0].tolist(), output / f"{source.stem}_prediction_output.png")
    return time.perf_counter() - started, inside


def by_matplotlib(image: np.ndarray, mask: np.ndarray, spread: np.ndarray, classes: list[float], path: Path) -> None:
    """Image, overlay with contour, disagreement, and the diagnosis as bars, about as large as the command's sheet."""
    figure = Figure(figsize=(10, 4.5))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 3, height_ratios=(3, 1))
    first, second, third = (figure.add_subplot(grid[0, column]) for column in range(3))
    for axes, title in ((first, "image"), (second, "prediction"), (third, "disagreement")):
        axes.set_title(title)
        axes.axis("off")
    first.imshow(image, cmap="gray")
    second.imshow(image, cmap="gray")
    second.imshow(np.ma.masked_equal(mask, 0), cmap="autumn", alpha=0.35)
    second.contour(mask, levels=[0.5])
    third.imshow(spread, cmap="inferno", vmin=0, vmax=0.5)
    figure.add_subplot(grid[1, :]).barh(["benign", "malignant", "normal"], classes)
    figure.savefig(path, dpi=100)


def flow(
    ensemble: Ensemble, sources: Sequence[Source], output: Path, kinds: Sequence[str], given: argparse.Namespace
) -> tuple[float, list[float]]:
    """Seconds of the command's way; and the resident MiB after every twentieth of the images."""
    wishes = Wishes(Inference(amp=given.amp), kinds=tuple(kinds), batch_size=4)
    made = Flow(ensemble, wishes, output, TrueMasks(), read_image)
    process, sizes, rows = psutil.Process(), [], {}
    started = time.perf_counter()
    for row in made.run(sources, os.cpu_count() or 1, lambda: None):
        assert not row["error"], row["error"]
        rows[row["image"]] = row
        if len(rows) % max(1, len(sources) // 20) == 0:
            sizes.append(process.memory_info().rss / 2**20)
    made.table.write(output, rows)
    return time.perf_counter() - started, sizes


def measure(encoder: str, written: str, sources: tuple[Source, ...], given: argparse.Namespace, folder: Path) -> bool:
    """Prints the figures of one encoder and of what is written; whether the bars are held."""
    kinds = WRITTEN[written]
    ensemble = ensemble_of(encoder, given.members, given.size)
    some = sources[: max(8, round(len(sources) * given.share))]
    flow(ensemble, sources[:16], folder / "warm", kinds, given)
    loop(ensemble, sources[:8], folder / "warm_loop", kinds)
    loops, flows, inside, sizes = [], [], [], [0.0]
    processor = {"loop": 0.0, "flow": 0.0}
    for turn in range(given.turns):
        clock = time.process_time()
        seconds, within = loop(ensemble, some, folder / f"{encoder}_loop", kinds)
        loops.append(seconds / len(some))
        inside.append(within / seconds)
        processor["loop"] += (time.process_time() - clock) / len(some) / given.turns
        clock = time.process_time()
        seconds, sizes = flow(ensemble, sources, folder / f"{encoder}_{turn}", kinds, given)
        processor["flow"] += (time.process_time() - clock) / len(sources) / given.turns
        flows.append(seconds / len(sources))
        shutil.rmtree(folder / f"{encoder}_{turn}")
    ratio = statistics.median(one / other for one, other in zip(loops, flows, strict=True))
    early, late = sizes[len(sizes) // 4], sizes[-1]
    work = f"{1000 * processor['loop']:9.0f}{1000 * processor['flow']:9.0f}{statistics.median(inside):12.0%}"
    speed = f"{1 / min(loops):11.1f}{1 / min(flows):11.1f}{ratio:8.2f}"
    shutil.rmtree(folder / "warm")
    print(f"{encoder:22}{written:>7}{speed}{work}{early:11.0f}{late:7.0f}", flush=True)
    return ratio >= BAR and late <= GROWTH * early


def main() -> int:
    """Prints the table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=480, help="pixels of an image's sides, about")
    parser.add_argument("--encoders", nargs="+", default=["shufflenet_v2_x0_5", "resnet18"])
    parser.add_argument("--size", type=int, default=128, help="of the networks' input")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.1, help="of the images that the loop takes")
    parser.add_argument("--write", nargs="+", default=[*WRITTEN], choices=[*WRITTEN])
    parser.add_argument("--amp", choices=["none", "bf16"], default="none")
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{given.images} images of about {given.side} pixels, {given.members} networks at {given.size} pixels")
    speed = f"{'loop im/s':>11}{'flow im/s':>11}{'ratio':>8}"
    work = f"{'loop ms':>9}{'flow ms':>9}{'in network':>12}"
    print(f"{'encoder':22}{'files':>7}{speed}{work}{'MiB early':>11}{'late':>7}")
    with tempfile.TemporaryDirectory() as place:
        sources = make_images(Path(place) / "images", given.images, given.side)
        rows = itertools.product(given.encoders, given.write)
        held = [measure(encoder, written, sources, given, Path(place)) for encoder, written in rows]
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
