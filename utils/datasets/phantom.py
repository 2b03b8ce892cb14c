"""Made breast ultrasound images, for trying the toolkit without data and for testing it.

Everything is a function of the seeds: nothing is stored, and nothing is read. See `utils.images.phantoms`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from utils.datasets.case import DATASETS, Case
from utils.files import write_atomically
from utils.identity import derive_seed, digest
from utils.images.phantoms import GENERATOR_VERSION, near_duplicate, phantom

# The 437 benign, 210 malignant and 133 normal images of BUSI, where one benign case in 27 has a second lesion.
_SHARES = {"benign": 437, "malignant": 210, "normal": 133}
_SECOND_LESION_EVERY = 27


@dataclass(frozen=True)
class Recipe:
    """All that determines one made case; `copy_seed` is set where it is a near-duplicate of the case of `seed`."""

    label: str
    seed: int
    height: int
    width: int
    lesions: int = 1
    copy_seed: int | None = None


@DATASETS.register("phantom")
class Phantom:
    """As many made cases as asked for, in the proportions of BUSI.

    root: ignored; a sweep that changes only dataset.name to phantom need not remove dataset.root.
    cases: how many, near-duplicates included.
    seed: another seed, other cases.
    near_duplicates: the share of the cases that are neighbouring frames of another one. `Case.group` does not tell,
        so that they have to be found; ``Case.attributes["copy_of"]`` does.
    height, width: the typical size in pixels; cases vary by up to a tenth about it.
    """

    classes: tuple[str, ...] = tuple(_SHARES)
    lesion_classes: tuple[str, ...] = ("benign", "malignant")

    def __init__(
        self,
        root: Path | None = None,
        *,
        cases: Annotated[int, Field(ge=1, le=100_000)] = 150,
        seed: int = 7,
        near_duplicates: Annotated[float, Field(ge=0, le=0.5)] = 0.1,
        height: Annotated[int, Field(ge=64, le=2048)] = 176,
        width: Annotated[int, Field(ge=64, le=2048)] = 208,
    ) -> None:
        self._recipes: dict[str, Recipe] = {}
        self._copies: dict[str, str] = {}
        for label, count in _counts(cases).items():
            originals = max(1, count - round(near_duplicates * count))
            for index in range(count):
                source = index
                copy_seed = None
                if index >= originals:
                    source = derive_seed("phantom copy of", seed, label, index) % originals
                    copy_seed = derive_seed("phantom copy", seed, label, index)
                    self._copies[_id(label, index)] = _id(label, source)
                made_from = derive_seed("phantom case", seed, label, source)
                lesions = 2 if label == "benign" and source % _SECOND_LESION_EVERY == 2 else 1
                self._recipes[_id(label, index)] = Recipe(label, made_from, height, width, lesions, copy_seed)

    def cases(self) -> list[Case]:
        """All cases, sorted by id. The ids are those that `Busi` gives to the files of `write_busi_layout`."""
        return [
            Case(id, recipe.label, attributes={"copy_of": self._copies[id]} if id in self._copies else {})
            for id, recipe in sorted(self._recipes.items())
        ]

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width), grey."""
        return _make(self._recipes[case.id])[0].copy()

    def read_mask(self, case: Case) -> np.ndarray:
        """uint8 of 0 and 1, (height, width); all 0 for a normal case."""
        return _make(self._recipes[case.id])[1].copy()

    def content(self, case: Case) -> str:
        """A hash of the case's recipe, label and group, and of the version of the generator."""
        recipe = self._recipes[case.id]
        made_from = [recipe.label, recipe.seed, recipe.height, recipe.width, recipe.lesions, recipe.copy_seed]
        return digest([GENERATOR_VERSION, made_from, case.label, case.group], length=64)

    def write_busi_layout(self, folder: Path) -> Path:
        """Writes all cases as PNG files in the layout of BUSI and returns `folder`; ``Busi(folder)`` reads the same.

        With BUSI's quirks: each lesion of a case has a mask file of its own (``_mask.png``, ``_mask_1.png``), and some
        masks have 3 channels, or 4 of which the last is opaque everywhere.
        """
        folder = Path(folder)
        for index, case in enumerate(self.cases()):
            _write_png(folder / f"{case.id}.png", self.read_image(case))
            for number, mask in enumerate(_lesions(self.read_mask(case))):
                name = f"{case.id}_mask.png" if number == 0 else f"{case.id}_mask_{number}.png"
                _write_png(folder / name, _with_channels(255 * mask, {3: 3, 5: 4}.get(index % 8, 1)))
        return folder


@functools.lru_cache(maxsize=4)
def _make(recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """The image and the mask of a recipe; kept for a moment, because the mask is asked for right after the image."""
    image, mask = phantom(recipe.label, recipe.seed, recipe.height, recipe.width, recipe.lesions)
    return (image, mask) if recipe.copy_seed is None else near_duplicate(image, mask, recipe.copy_seed)


def _id(label: str, index: int) -> str:
    return f"{label}/{label} ({index + 1})"


def _counts(cases: int) -> dict[str, int]:
    """How many of `cases` fall to each class: rounded down, the rest to the largest remainders."""
    total = sum(_SHARES.values())
    counts = {label: cases * share // total for label, share in _SHARES.items()}
    remainders = sorted(_SHARES, key=lambda label: cases * _SHARES[label] % total, reverse=True)
    for label in remainders[: cases - sum(counts.values())]:
        counts[label] += 1
    return counts


def _lesions(mask: np.ndarray) -> list[np.ndarray]:
    """The lesions of a mask, one by one; one empty mask where there is none."""
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    return [(labels == number).astype(np.uint8) for number in range(1, count)] or [mask]


def _with_channels(mask: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1:
        return mask
    colour = np.repeat(mask[..., None], channels, axis=-1)
    if channels == 4:
        colour[..., 3] = 255
    return colour


def _write_png(path: Path, pixels: np.ndarray) -> None:
    _, encoded = cv2.imencode(".png", pixels)
    write_atomically(path, lambda file: file.write(encoded.tobytes()))
