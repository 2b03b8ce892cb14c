"""Miniatures of the datasets of stained tissue, with nuclei drawn by hand: ellipses of violet on pink."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from utils.datasets.histology.oral_epithelium import IMAGES, MASKS
from utils.datasets.histology.tiles import GRADES
from utils.datasets.miniatures.files import write_image
from utils.datasets.miniatures.registry import MINIATURES
from utils.identity import derive_seed

_HEIGHT, _WIDTH = 64, 80
_PINK, _VIOLET = (232, 176, 206), (96, 64, 144)


@MINIATURES.register("oral_epithelium")
def oral_epithelium(folder: Path, patients: int, seed: int) -> None:
    """Two tiles of each slide; the higher the grade, the more and the larger its nuclei."""
    place = folder / "OralEpitheliumDB"
    for slide in range(patients):
        grade = GRADES[slide % len(GRADES)]
        for roi in (1, 2):
            name = f"{grade}-{slide // len(GRADES) + 1:02}-roi{roi}"
            image, nuclei = _tile(slide % len(GRADES), derive_seed("oral", seed, slide, roi))
            write_image(place / IMAGES / grade / f"{name}.tif", image)
            write_image(place / MASKS["instance"] / grade / f"{name}.png", nuclei.astype(np.uint8))
            semantic = np.repeat(255 * (nuclei > 0)[..., None], 3, axis=-1).astype(np.uint8)
            write_image(place / MASKS["semantic"] / grade / f"{name}.png", semantic)


@MINIATURES.register("nuclei")
def nuclei(folder: Path, patients: int, seed: int) -> None:
    """Two tiles of each slide, instance masks of 16 bits; of every third slide a tile of the next grade as well."""
    for slide in range(patients):
        grades = [slide % len(GRADES)] * 2 + [(slide + 1) % len(GRADES)] * (slide % 3 == 0)
        for tile, grade in enumerate(grades):
            image, drawn = _tile(grade, derive_seed("nuclei", seed, slide, tile))
            name = f"S{slide:02}_tile_{tile}.png"
            write_image(folder / GRADES[grade] / "images" / name, image)
            write_image(folder / GRADES[grade] / "labels" / name, (300 * drawn).astype(np.uint16))


def _tile(grade: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """RGB uint8 (height, width, 3), and int32 (height, width) with the numbers of its nuclei, of which some touch."""
    rng = np.random.default_rng(seed)
    tissue = cv2.resize(rng.normal(0, 16, (8, 10)), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    image = np.array(_PINK) + tissue[..., None] + rng.normal(0, 5, (_HEIGHT, _WIDTH, 3))
    numbers = np.zeros((_HEIGHT, _WIDTH), np.int32)
    for number in range(1, 6 + 3 * grade):
        centre = (int(rng.integers(6, _WIDTH - 6)), int(rng.integers(6, _HEIGHT - 6)))
        axes = (int(rng.integers(3, 6)) + grade // 2, int(rng.integers(3, 5)))
        cv2.ellipse(numbers, centre, axes, float(rng.uniform(0, 180)), 0, 360, number, -1)
    image[numbers > 0] = np.array(_VIOLET) + rng.normal(0, 8, (int((numbers > 0).sum()), 3))
    return np.clip(image, 0, 255).astype(np.uint8), numbers
