"""The overlay sheet of a class: a row for each case, image, activation and attention side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from experiments.explanation.explanation import Explanation
from experiments.explanation.table import Row
from experiments.prediction.images.drawing import (
    FAINT,
    LESION,
    PAPER,
    TRUTH,
    fitted,
    heat,
    outline,
    rgb,
    tinted,
    width_of,
    write,
)
from utils.images.resizing import resize_image, resize_mask

MOST_ROWS = 12
"""A longer sheet is not looked at."""

_SIDE, _GAP, _LINE = 220, 10, 20
_OPACITY, _HEAT = 0.3, 0.55


@dataclass(frozen=True)
class Panels:
    """A row of the sheet. pictures: caption and RGB picture, all of the same size."""

    title: str
    pictures: tuple[tuple[str, np.ndarray], ...]


def panels(image: np.ndarray, truth: np.ndarray | None, explanation: Explanation, row: Row) -> Panels:
    """The pictures of one case, small already: a sheet may be of many.

    image: uint8 (H, W) or RGB (H, W, 3). truth: boolean (H, W), or None.
    """
    size = fitted(image.shape[:2], _SIDE)
    picture = rgb(resize_image(image, size))
    small = {
        color: resize_mask(mask.astype(np.uint8), size)
        for color, mask in ((LESION, explanation.mask), (TRUTH, truth))
        if mask is not None
    }
    seen = tinted(picture, small[LESION], LESION, _OPACITY)
    for color, mask in small.items():
        outline(seen, mask, color)
    pictures = [("image", picture), ("prediction" if truth is None else "prediction, truth", seen)]
    lesion = small.get(TRUTH, small[LESION])
    for aim, activation in explanation.activation.items():
        inside = row.diagnosis_inside if aim == "diagnosis" else row.segmentation_inside
        told = f"{100 * inside:.0f} % inside" if not math.isnan(inside) else "" if activation.any() else "nothing"
        pictures.append((f"{aim}: {told}" if told else aim, _heated(picture, resize_image(activation, size), lesion)))
    for name, map in explanation.attention.items():
        low, high = float(map.min()), float(map.max())
        # Coefficients often differ little; what differs at all is shown, and the caption says how much it is.
        stretched = resize_image((map - low) / max(high - low, 1e-6), size)
        pictures.append((f"{_short(name)}: {low:.2f} to {high:.2f}", _heated(picture, stretched, lesion)))
    return Panels(_title(row), tuple(pictures))


def sheet(name: str, rows: Sequence[Panels]) -> np.ndarray:
    """RGB uint8. name: of the class."""
    most = max(len(row.pictures) for row in rows)
    heights = [2 * _LINE + row.pictures[0][1].shape[0] + _GAP for row in rows]
    width = max(_GAP + most * (_SIDE + _GAP), 2 * _SIDE)
    page = np.full((3 * _LINE + sum(heights), width, 3), PAPER, np.uint8)
    write(page, name, _GAP, _LINE, 18)
    _legend(page, 2 * _LINE)
    top = 3 * _LINE
    for row, height in zip(rows, heights, strict=True):
        cv2.line(page, (_GAP, top - 4), (width - _GAP, top - 4), FAINT)
        write(page, row.title, _GAP, top + 14, 13)
        for place, (caption, picture) in enumerate(row.pictures):
            left, below = _GAP + place * (_SIDE + _GAP), top + 2 * _LINE
            write(page, _cut(caption, 11, _SIDE), left, below - 5, 11)
            page[below : below + picture.shape[0], left : left + picture.shape[1]] = picture
        top += height
    return page


def _legend(page: np.ndarray, base: int) -> None:
    left = _GAP
    for color, text in ((LESION, "predicted lesion"), (TRUTH, "true lesion")):
        cv2.line(page, (left, base - 4), (left + 18, base - 4), color, 3)
        write(page, text, left + 24, base, 12)
        left += 24 + width_of(text, 12) + 2 * _GAP
    write(page, "heat: least black, most yellow", left, base, 12)


def _heated(picture: np.ndarray, map: np.ndarray, lesion: np.ndarray) -> np.ndarray:
    mixed = cv2.addWeighted(picture, 1 - _HEAT, heat(map), _HEAT, 0)
    outline(mixed, lesion, PAPER, 1)
    return mixed


def _title(row: Row) -> str:
    parts = [row.case]
    if row.predicted:
        right = "" if not row.label else " (right)" if row.label == row.predicted else f" (is {row.label})"
        parts.append(f"{row.predicted} {row.probability:.2f}{right}")
    return ", ".join(parts)


def _short(name: str) -> str:
    """A module's dotted name without what is the same in all: captions are narrow."""
    return ".".join(part for part in name.split(".") if part != "layers")


def _cut(text: str, size: int, width: int) -> str:
    while text and width_of(text, size) > width:
        text = f"{text[:-2]}…"
    return text
