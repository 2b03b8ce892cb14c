"""``..._prediction_output.png``: what was predicted for one image, drawn in a hundredth of a second."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from experiments.prediction.ensemble import Prediction
from experiments.prediction.images.drawing import BAR, FAINT, LESION, PAPER, fitted, heat, outline, rgb, tinted, write
from experiments.prediction.regions import Regions
from utils.images.resizing import resize_image, resize_mask

_SIDE, _GAP, _TITLE, _LINE = 320, 12, 26, 24
_OPACITY = 0.35
_WORST = 0.5
"""The largest standard deviation of numbers in [0, 1]: the end of the scale of disagreement."""


def sheet(
    image: np.ndarray, prediction: Prediction, found: Regions, classes: Sequence[str], members: int, title: str
) -> np.ndarray:
    """RGB uint8: image, overlay with contour, disagreement of the members, and bars of the diagnosis.

    image: uint8, (height, width) or RGB (height, width, 3).
    """
    size = fitted(image.shape[:2], _SIDE)
    picture = rgb(resize_image(image, size))
    panels = [("image", picture), ("prediction", _overlay(picture, resize_mask(found.mask.astype(np.uint8), size)))]
    if members > 1:
        spread = resize_image(prediction.disagreement, size)
        panels.append((f"disagreement of {members} (0 to 0.5)", heat(spread / _WORST)))
    width = max(len(panels) * (size[1] + _GAP) + _GAP, 2 * _SIDE)
    bars = max(1, len(classes))
    page = np.full((2 * _TITLE + size[0] + (bars + 1) * _LINE + 2 * _GAP, width, 3), PAPER, np.uint8)
    write(page, title, _GAP, _TITLE - 6, 16)
    for place, (caption, panel) in enumerate(panels):
        left, top = _GAP + place * (size[1] + _GAP), 2 * _TITLE
        write(page, caption, left, top - 6, 13)
        page[top : top + size[0], left : left + size[1]] = panel
    below = 2 * _TITLE + size[0] + _GAP
    write(page, _summary(found), _GAP, below + 16, 13)
    for line, (name, value) in enumerate(zip(classes, prediction.classes, strict=True), start=1):
        _bar(page, name, float(value), below + line * _LINE)
    return page


def _summary(found: Regions) -> str:
    if not found.areas:
        return "no lesion found"
    count = len(found.areas)
    return f"{found.pixels:,} pixels of lesion in {count} {'component' if count == 1 else 'components'}"


def _overlay(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    painted = tinted(picture, mask, LESION, _OPACITY)
    outline(painted, mask, LESION)
    return painted


def _bar(page: np.ndarray, name: str, value: float, top: int) -> None:
    start, length = 170, page.shape[1] - 170 - 80
    write(page, name if len(name) <= 20 else f"{name[:19]}…", _GAP, top + 16, 13)
    cv2.rectangle(page, (start, top + 4), (start + length, top + 18), FAINT, cv2.FILLED)
    cv2.rectangle(page, (start, top + 4), (start + round(length * value), top + 18), BAR, cv2.FILLED)
    write(page, f"{value:.3f}", start + length + 10, top + 16, 13)
