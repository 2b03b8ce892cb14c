"""Small data in BUSI's layout: six images of 32 x 32 pixels of each class, none of them like another."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

CLASSES = ("benign", "malignant", "normal")
SIDE = 32
SWEEP = """\
name: s
dataset: {name: busi, root: data, image_size: 32}
folds: {k: 3, validation: 0.3}
model: {encoder: tu-mobilenetv3_small_050, encoder_weights: none}
training: {epochs: 1}
"""


def write_data(root: Path) -> None:
    """Writes the data, which are good."""
    random = np.random.default_rng(1)
    for label in CLASSES:
        for number in range(1, 7):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            if label != "normal":
                mask[4 : 6 + number, 5:20] = 255
            write(root / label / f"{label} ({number}).png", random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))
            write(root / label / f"{label} ({number})_mask.png", mask)


def image(folder: Path, label: str = "benign", number: int = 1) -> Path:
    """The file of an image."""
    return folder / "data" / label / f"{label} ({number}).png"


def mask(folder: Path, label: str = "benign", number: int = 1) -> Path:
    """The file of a mask."""
    return folder / "data" / label / f"{label} ({number})_mask.png"


def write(path: Path, pixels: np.ndarray, kind: str = ".png") -> None:
    """Writes pixels to a file, of whatever name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(kind, pixels)[1].tobytes())
