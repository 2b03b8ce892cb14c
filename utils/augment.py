"""Flipped, rotated and cropped copies of a dataset as files, for those who want files.

    python -m utils.augment busi data/busi data/busi_augmented --copies 2

Writes ``images/``, ``masks/`` and a ``manifest.csv``, which the dataset `manifest` reads: every image as it is, and its
copies. A copy has the label, the split and the source of its original, and its group, so that no fold separates them.
But copies are cases like any others, also in the parts of a fold that are tested on: to show a network more in training
alone, there is ``training.augmentation``, which needs no files.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from utils.datasets.case import SOURCE, SPLIT, Case, Dataset
from utils.datasets.manifest import COLUMNS
from utils.datasets.opening import open_dataset
from utils.errors import Problem, UserError, shortened
from utils.files import write_atomically, write_text_atomically
from utils.identity import derive_seed, digest
from utils.images.augmentation import Augmentation
from utils.images.cache.placing import temporary_folder

KINDS = ("flip", "rotate", "crop")
# A turn or a window that loses the lesion is drawn again; a lesion in a far corner may be lost by all of them.
_ATTEMPTS = 10


@dataclass(frozen=True)
class Recipe:
    """Which copies are made of each image.

    kinds: of `KINDS`. copies: of each kind; mirrored there is but one. degrees: the largest turn, to either side.
    share: of each side, what a crop keeps.
    """

    kinds: tuple[str, ...] = KINDS
    copies: int = 1
    degrees: float = 15.0
    share: float = 0.8
    seed: int = 42


@dataclass(frozen=True)
class Copy:
    """One copy. name: ``flip``, ``rotate-1``, ... image: uint8, RGB or grey. mask: uint8 of 0 and 1, of its size."""

    name: str
    image: np.ndarray
    mask: np.ndarray


def copies_of(case: str, image: np.ndarray, mask: np.ndarray, recipe: Recipe) -> Iterator[Copy]:
    """The copies of a case, a pure function of its id, pixels and recipe.

    image: uint8, (height, width) or (height, width, 3). mask: uint8 of 0 and 1, (height, width). A copy that would
    lose a lesion altogether is left out.
    """
    if "flip" in recipe.kinds:
        yield Copy("flip", image[:, ::-1], mask[:, ::-1])
    for kind in KINDS[1:]:
        for number in range(1, recipe.copies + 1) if kind in recipe.kinds else ():
            for attempt in range(_ATTEMPTS):
                seed = derive_seed("offline augmentation", recipe.seed, case, kind, number, attempt)
                changed = (_rotated if kind == "rotate" else _cropped)(image, mask, recipe, seed)
                if changed[1].any() or not mask.any():
                    yield Copy(f"{kind}-{number}", *changed)
                    break


def augment(dataset: Dataset, output: Path, recipe: Recipe, skip_errors: bool = False) -> tuple[int, int]:
    """Writes a dataset and its copies to `output`, a new or empty folder, all or nothing; (cases, copies) written.

    Raises UserError naming all cases that cannot be read, unless they are to be skipped, and for a folder in use.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(Problem("output", "there is something already; name a new or empty folder", value=str(output)))
    output.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    problems: list[Problem] = []
    originals = 0
    with temporary_folder(output) as folder:
        for case in dataset.cases():
            try:
                image, mask = dataset.read_image(case), dataset.read_mask(case)
                if image.shape[:2] != mask.shape:
                    raise ValueError(f"the image has {image.shape[:2]} pixels (height, width), its mask {mask.shape}")
            except (OSError, ValueError) as error:
                problems.append(Problem(case.id, f"cannot be read: {error}"))
                continue
            originals += 1
            for copy in (Copy("", image, mask), *copies_of(case.id, image, mask, recipe)):
                rows.append(_written(folder, case, copy))
        if (problems and not skip_errors) or not originals:
            raise UserError(shortened(problems))
        if len({row["image"] for row in rows}) < len(rows):
            raise UserError(Problem("output", "a case has the name that the copy of another would get; rename it"))
        write_text_atomically(folder / "manifest.csv", _table(rows))
        if output.exists():
            output.rmdir()
        folder.rename(output)
    return originals, len(rows) - originals


def _rotated(image: np.ndarray, mask: np.ndarray, recipe: Recipe, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return Augmentation([("rotate", {"limit": recipe.degrees, "p": 1.0})])(image, mask, seed)


def _cropped(image: np.ndarray, mask: np.ndarray, recipe: Recipe, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A window at a random place, with the whole lesion in it where it fits."""
    random = np.random.default_rng(seed)
    windows = []
    for axis, size in enumerate(mask.shape):
        length = max(1, round(recipe.share * size))
        drawn = np.flatnonzero(mask.any(axis=1 - axis))
        first, last = (drawn[0], drawn[-1] + 1) if drawn.size else (size, 0)
        # Between these the window holds all of the lesion, or, of a larger one, nothing else.
        ends = sorted(int(np.clip(start, 0, size - length)) for start in (last - length, first))
        start = int(random.integers(ends[0], ends[1] + 1))
        windows.append(slice(start, start + length))
    return image[tuple(windows)], mask[tuple(windows)]


def _written(folder: Path, case: Case, copy: Copy) -> dict[str, str]:
    """Writes the files of a copy, or of the original; its row of the manifest."""
    id = f"{case.id} {copy.name}".rstrip()
    image, mask = (f"{part}/{_safe(id)}.png" for part in ("images", "masks"))
    _write_png(folder / image, copy.image)
    _write_png(folder / mask, 255 * copy.mask)
    turned = copy.name.startswith("rotate")
    # Pixels that are not square do not stay what they were when they are turned.
    spacing = None if case.spacing is None or (turned and case.spacing[0] != case.spacing[1]) else case.spacing
    return {
        "case": id,
        "image": image,
        "mask": mask,
        "label": case.label,
        "group": case.group if case.group is not None else case.id,
        "split": case.attributes.get(SPLIT, ""),
        "source": case.attributes.get(SOURCE, ""),
        "spacing": "" if spacing is None else " ".join(map(repr, spacing)),
    }


def _safe(id: str) -> str:
    """A path for a case id, which may be the path of a file or anything else that a table calls it."""
    path = PurePosixPath(id)
    strange = path.is_absolute() or any(part.startswith(".") or len(part) > 200 for part in path.parts) or "\0" in id
    return digest(id, length=32) if strange else str(path)


def _write_png(path: Path, pixels: np.ndarray) -> None:
    encoded = cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()
    write_atomically(path, lambda file: file.write(encoded))


def _table(rows: Sequence[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = argparse.ArgumentParser(
        prog="python -m utils.augment",
        description="Writes a dataset with flipped, rotated and cropped copies to a folder, which the dataset "
        "`manifest` reads. Copies keep the group of their original.",
    )
    command.add_argument("dataset", help="a name as under dataset.name, such as busi")
    command.add_argument("root", type=Path, help="its folder")
    command.add_argument("output", type=Path, help="a new or empty folder")
    command.add_argument("--options", default="{}", help='the dataset\'s own, as JSON: \'{"mask": "{name}_m"}\'')
    command.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="which copies (all)")
    command.add_argument("--copies", type=int, default=1, help="rotated and cropped ones of each image (1)")
    command.add_argument("--degrees", type=float, default=15.0, help="the largest turn, 0 to 180 (15)")
    command.add_argument("--share", type=float, default=0.8, help="of each side, what a crop keeps (0.8)")
    command.add_argument("--seed", type=int, default=42, help="another seed, other copies (42)")
    command.add_argument("--skip-errors", action="store_true", help="leave out what cannot be read")
    options = command.parse_args(arguments)
    try:
        recipe = _recipe(options)
        dataset = open_dataset(options.dataset, options.root, _json(options.options))
        originals, copies = augment(dataset, options.output, recipe, options.skip_errors)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{originals} images and {copies} copies: dataset: {{name: manifest, root: {options.output}}}")
    return 0


def _recipe(options: argparse.Namespace) -> Recipe:
    problems = []
    if not 1 <= options.copies <= 1000:
        problems.append(Problem("--copies", "must be 1 to 1000", value=options.copies))
    if not 0 < options.degrees <= 180:
        problems.append(Problem("--degrees", "must be above 0, and at most 180", value=options.degrees))
    if not 0 < options.share < 1:
        problems.append(Problem("--share", "must lie between 0 and 1, both excluded", value=options.share))
    if problems:
        raise UserError(problems)
    return Recipe(tuple(options.kinds), options.copies, options.degrees, options.share, options.seed)


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(Problem("--options", f"must be JSON: {error}", value=text)) from None
    if not isinstance(value, dict):
        raise UserError(Problem("--options", 'must be a mapping, such as {"parts": ["train"]}', value=text))
    return value


if __name__ == "__main__":
    sys.exit(main())
