"""The files of one image's prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from utils.files import write_atomically

Kind = Literal["mask", "probability", "sheet"]
KINDS: tuple[Kind, ...] = ("mask", "probability", "sheet")

_ENDINGS: dict[Kind, str] = {
    "mask": "_mask.png",
    "probability": "_probability.png",
    "sheet": "_prediction_output.png",
}
PROBABILITY_ONE = 65_535
"""The 16-bit value that stands for a probability of 1."""


def path_of(output: Path, stem: str, kind: Kind) -> Path:
    """Where a file of an image lies."""
    return output / f"{stem}{_ENDINGS[kind]}"


def write_mask(path: Path, mask: np.ndarray) -> None:
    """A boolean mask (height, width) as PNG of 0 and 255."""
    _write(path, mask.astype(np.uint8) * np.uint8(255))


def write_probability(path: Path, probability: np.ndarray) -> None:
    """Probabilities (height, width) as 16-bit grey PNG, `PROBABILITY_ONE` for 1: true to 0.00001."""
    _write(path, np.rint(probability * np.float32(PROBABILITY_ONE)).astype(np.uint16))


def write_sheet(path: Path, page: np.ndarray) -> None:
    """An RGB page, uint8 (height, width, 3), as PNG."""
    _write(path, cv2.cvtColor(page, cv2.COLOR_RGB2BGR))


def _write(path: Path, pixels: np.ndarray) -> None:
    # Without parameters: naming a level of compression, even the lowest, takes OpenCV's quick strategy away.
    encoded = cv2.imencode(".png", pixels)[1]
    write_atomically(path, lambda file: file.write(encoded.data))
