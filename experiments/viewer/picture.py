"""What a view looks like: a pure function from an image and its prediction to pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.prediction import Prediction
from experiments.prediction.images.drawing import (
    LESION,
    PAPER,
    TRUTH,
    fitted,
    outline,
    rgb,
    tinted,
    width_of,
    write,
)
from experiments.prediction.regions import regions
from experiments.viewer.state import View
from utils.images.preprocessing import preprocess
from utils.images.resizing import resize_image, resize_mask
from utils.metrics import MaskPair
from utils.metrics.overlap import dice

SIDE = 760
"""Pixels of the picture's longer side in a window."""

_LINE, _MARGIN = 22, 8
_TEXT, _SMALLEST = 15, 10
_WIDTH = 560
_DARK = (34, 34, 34)


@dataclass(frozen=True)
class Seen:
    """An image that is looked at. image: uint8 (H, W) or RGB (H, W, 3). truth: boolean (H, W), or None.

    prediction: None while it is being computed. error: why there is neither image nor prediction.
    """

    name: str
    image: np.ndarray | None = None
    truth: np.ndarray | None = None
    prediction: Prediction | None = None
    error: str = ""


def mask_of(view: View, prediction: Prediction) -> np.ndarray:
    """What is called lesion at the view's threshold, boolean (H, W)."""
    return regions(prediction.probability, view.threshold / 100).mask


def rendered(view: View, seen: Seen, classes: Sequence[str], side: int = SIDE) -> np.ndarray:
    """RGB uint8: the image with the lesion tinted and outlined, the true one outlined, and below it what is shown.

    side: pixels of the picture's longer side.
    """
    lines = [f"{view.index + 1} of {view.count}: {seen.name}", *_told(view, seen, classes)]
    picture = _picture(view, seen, side)
    width = max(picture.shape[1], min(_WIDTH, side))
    page = np.full((picture.shape[0] + len(lines) * _LINE + _MARGIN, width, 3), _DARK, np.uint8)
    page[: picture.shape[0], : picture.shape[1]] = picture
    text = _text_size(lines, width - 2 * _MARGIN)
    for number, line in enumerate(lines, 1):
        write(page, line, _MARGIN, picture.shape[0] + number * _LINE - 6, text, PAPER)
    return page


def _text_size(lines: Sequence[str], width: int) -> int:
    """The largest at which the lines fit, if that can still be read."""
    fitting = (size for size in range(_TEXT, _SMALLEST, -1) if max(width_of(line, size) for line in lines) <= width)
    return next(fitting, _SMALLEST)


def _picture(view: View, seen: Seen, side: int) -> np.ndarray:
    if seen.image is None:
        return np.full((side // 2, side, 3), _DARK, np.uint8)
    size = fitted(seen.image.shape[:2], side)
    # What is looked at is what the networks see: with the contrast that they are given.
    steps = [("clahe", {"clip_limit": view.clip_limit})] if view.clahe else []
    picture = rgb(resize_image(preprocess(seen.image, steps), size))
    if seen.prediction is not None:
        mask = resize_mask(mask_of(view, seen.prediction).astype(np.uint8), size)
        picture = tinted(picture, mask, LESION, view.opacity / 100)
        if view.opacity:
            outline(picture, mask, LESION)
    if view.truth and seen.truth is not None:
        picture = picture.copy()
        outline(picture, resize_mask(seen.truth.astype(np.uint8), size), TRUTH)
    return picture


def _told(view: View, seen: Seen, classes: Sequence[str]) -> list[str]:
    """The lines below the picture."""
    settings = (
        f"threshold {view.threshold / 100:g}, overlay {view.opacity} %, "
        f"CLAHE {f'{view.clip_limit:g}' if view.clahe else 'off'}, size {view.size or 'as in training'}"
    )
    if seen.error:
        return [seen.error, settings]
    if seen.prediction is None:
        return ["predicting ...", settings]
    mask = mask_of(view, seen.prediction)
    found = f"{int(mask.sum()):,} pixels of lesion"
    if view.truth and seen.truth is not None:
        score = dice(MaskPair(mask, seen.truth))
        found += ", truly none" if math.isnan(score) else f", Dice {score:.3f}"
    said = seen.prediction.classes
    named = [f"{name} {value:.2f}" for name, value in zip(classes, said, strict=True)] if said.size else []
    return [", ".join([found, *named]), settings]
