"""What is done once to every image, before it is resized and cached: a registered step each.

Steps look at one image alone; nothing here learns from a data set, so nothing can leak between folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import AfterValidator, Field

from utils.registry import Registry

PREPROCESSING_VERSION = 1
"""Raised whenever a step gives other pixels than before; part of every cache key."""

PREPROCESSING: Registry[Callable[..., Callable[[np.ndarray], np.ndarray]]] = Registry("preprocessing step")
"""Name -> factory of a step: ``uint8 (height, width)`` or ``(height, width, 3)`` to the same shape."""


def preprocess(image: np.ndarray, parts: Sequence[tuple[str, Mapping[str, Any]]]) -> np.ndarray:
    """Applies the steps in their order.

    image: uint8, (height, width) or RGB (height, width, 3).
    parts: pairs of a registered name and its options.

    Returns uint8 of the same shape. Raises UserError for an unknown name, pydantic's ValidationError
    for options that a step refuses.
    """
    for name, options in parts:
        image = PREPROCESSING[name](**PREPROCESSING.check(name, options))(image)
    return image


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("a kernel needs a middle pixel: give an odd number")
    return size


@PREPROCESSING.register("median")
def median(
    *, size: Annotated[int, Field(ge=3, le=255), AfterValidator(_odd)] = 3
) -> Callable[[np.ndarray], np.ndarray]:
    """Median of a square of `size` x `size` pixels: takes speckle away and leaves edges.

    size: odd, in pixels of the original image. Borders are replicated.
    """
    return lambda image: cv2.medianBlur(image, size)


@PREPROCESSING.register("clahe")
def clahe(
    *, clip_limit: Annotated[float, Field(gt=0)] = 2.0, tiles: Annotated[int, Field(ge=1, le=64)] = 8
) -> Callable[[np.ndarray], np.ndarray]:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994).

    clip_limit: the height at which a tile's histogram is cut, in multiples of a flat one's.
    tiles: tiles along each side. RGB images are equalised in the L channel of LAB, which keeps hues.
    """

    def equalise(image: np.ndarray) -> np.ndarray:
        # OpenCV's object holds scratch buffers: one for all threads would mix their images.
        step = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(tiles, tiles))
        if image.ndim == 2:
            return step.apply(image)
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        lab[..., 0] = step.apply(np.ascontiguousarray(lab[..., 0]))
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)

    return equalise
