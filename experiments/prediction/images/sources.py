"""Which images are to be predicted, and what their results are called."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.prediction.images.table import FILE as TABLE
from utils.datasets.files.dataset import IMAGE_SUFFIXES
from utils.errors import Problem, UserError, nearest
from utils.images.dicom import SUFFIXES as DICOM_SUFFIXES

SUFFIXES = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)

MASK_NAME = re.compile(r"(?P<image>.+)_(?:mask(?:_\d+)?|segmentation)", re.IGNORECASE)
"""The name of a mask without suffix, as in BUSI and in folders of skin lesions."""


@dataclass(frozen=True)
class Source:
    """An image to predict. name: its path below what all images have in common, with /, its id in the table.

    stem: the same without suffix, the start of its results' names; with it where another image would share them.
    """

    path: Path
    name: str
    stem: str


@dataclass(frozen=True)
class Found:
    """The images, sorted by name. left_out: how many files of the folders are masks of images beside them."""

    sources: tuple[Source, ...]
    left_out: int = 0


def find_images(wanted: Sequence[str], output: Path) -> Found:
    """The images that files, folders (with all below them) and patterns such as ``data/*.png`` stand for.

    In folders hidden files, masks named as in BUSI beside their image, and the results of earlier commands are left
    out; a file that is named is always taken. Raises UserError for what does not exist or holds no image, and where
    results would come to lie beside the images: a result ``x_mask.png`` there would be, or replace, a true mask.
    """
    files: dict[Path, None] = {}
    problems, left_out = [], 0
    for text in wanted:
        path = Path(text)
        if path.is_dir():
            found, masks = _in_folder(path, output)
        elif path.is_file():
            found, masks = [path], 0
        else:
            # Path.glob takes no absolute pattern.
            matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207
            named = [Path(match) for match in matches if Path(match).is_file()]
            found, masks = _without_masks(path for path in named if path.suffix.lower() in SUFFIXES)
        if not found:
            problems.append(_nothing(text))
        files.update(dict.fromkeys(found))
        left_out += masks
    if problems:
        raise UserError(problems)
    sources = _named(list(files))
    _refuse_output_beside(sources, output)
    return Found(tuple(sorted(sources, key=lambda source: source.name)), left_out)


def _in_folder(folder: Path, output: Path) -> tuple[list[Path], int]:
    found = []
    inside = output.resolve()
    for root, folders, names in os.walk(folder):
        place = Path(root)
        if TABLE in names:  # the results of another command
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") and (place / name).resolve() != inside)
        found += [
            place / name for name in sorted(names) if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return _without_masks(found)


def _without_masks(paths: Iterable[Path]) -> tuple[list[Path], int]:
    """The paths that are no mask of another one in the same folder, and how many are."""
    paths = list(paths)
    images = {(path.parent, path.stem) for path in paths}

    def is_mask(path: Path) -> bool:
        match = MASK_NAME.fullmatch(path.stem)
        return match is not None and (path.parent, match["image"]) in images

    kept = [path for path in paths if not is_mask(path)]
    return kept, len(paths) - len(kept)


def _nothing(text: str) -> Problem:
    path = Path(text)
    if path.is_dir():
        return Problem("--image", f"the folder holds no image ({', '.join(SUFFIXES)})", value=text)
    if glob.has_magic(text):
        return Problem("--image", "the pattern matches no image", value=text)
    beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    likely = nearest(path.name, beside)
    return Problem("--image", "no such file or folder", "", text, likely and str(path.parent / likely))


def _named(paths: Sequence[Path]) -> list[Source]:
    """Every path with a name and a stem of its own."""
    # Without following links: the same file under two names is two images, under one name it is one.
    absolute = list(dict.fromkeys(Path(os.path.normpath(path.absolute())) for path in paths))
    top = Path(os.path.commonpath([path.parent for path in absolute])) if absolute else Path()
    names = [path.relative_to(top).as_posix() for path in absolute]
    stems = [name.removesuffix(Path(name).suffix) for name in names]
    # x.png and x.jpg become x.png_mask.png and x.jpg_mask.png; and then x.png.tif must not be x.png, too.
    while len(set(stems)) < len(stems):
        count = Counter(stems)
        stems = [name if count[stem] > 1 else stem for name, stem in zip(names, stems, strict=True)]
    return [Source(path, name, stem) for path, name, stem in zip(absolute, names, stems, strict=True)]


def _refuse_output_beside(sources: Sequence[Source], output: Path) -> None:
    folders = {source.path.parent.resolve() for source in sources}
    for source in sources:
        if (output / source.stem).parent.resolve() in folders:
            message = "results would lie beside the images, where a mask is a true one; choose another folder"
            raise UserError(Problem("--output", message, value=str(output)))
