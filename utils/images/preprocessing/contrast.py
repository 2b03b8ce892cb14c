"""Local contrast: histogram equalisation in tiles, at a clip limit that is given or chosen for each image."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from utils.images.preprocessing.step import PREPROCESSING, Step, on_lightness

Tiles = Annotated[int, Field(ge=1, le=64)]


@PREPROCESSING.register("clahe")
def clahe(*, clip_limit: Annotated[float, Field(gt=0)] = 2.0, tiles: Tiles = 8) -> Step:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994).

    clip_limit: the height at which a tile's histogram is cut, in multiples of a flat one's.
    tiles: tiles along each side. RGB images are equalised in the L channel of LAB, which keeps hues.
    """
    return lambda image: on_lightness(image, lambda grey: _equalised(grey, clip_limit, tiles))


@PREPROCESSING.register("adaptive_clahe")
def adaptive_clahe(
    *,
    highest: Annotated[float, Field(gt=1, le=64)] = 8.0,
    candidates: Annotated[int, Field(ge=3, le=32)] = 12,
    tiles: Tiles = 8,
) -> Step:
    """CLAHE at the clip limit where more of it stops paying, chosen for each image by its entropy.

    highest: the largest clip limit that is tried, from 1 on. candidates: how many are tried, evenly spaced.
    tiles: as in ``clahe``.

    The entropy of the equalised image grows with the clip limit, steeply first, while structure appears, then
    slowly, when noise does. Min et al. (A Novel Method of Determining Parameters of CLAHE Based on Image Entropy,
    Int. J. Software Eng. Appl. 7(5), 2013) take the point of highest curvature; here it is found as the point
    farthest above the chord (Satopaa et al., Finding a "Kneedle" in a Haystack, ICDCS Workshops 2011), which needs
    no second derivative of a noisy curve. A flat image has no such point and is equalised at limit 1.
    """
    limits = np.linspace(1, highest, candidates)

    def equalise(grey: np.ndarray) -> np.ndarray:
        equalised = [_equalised(grey, float(limit), tiles) for limit in limits]
        return equalised[_knee(np.array([_entropy(image) for image in equalised]))]

    return lambda image: on_lightness(image, equalise)


def _equalised(grey: np.ndarray, clip_limit: float, tiles: int) -> np.ndarray:
    # OpenCV's object holds scratch buffers: one for all threads would mix their images.
    return cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(tiles, tiles)).apply(grey)


def _entropy(grey: np.ndarray) -> float:
    """Shannon's, of the histogram of grey values, in bits: 0 to 8."""
    counts = np.bincount(grey.ravel(), minlength=256)
    shares = counts[counts > 0] / grey.size
    return float(-(shares * np.log2(shares)).sum())


def _knee(curve: np.ndarray) -> int:
    """The index of the point farthest above the chord from the first to the last; 0 where there is none."""
    return int(np.argmax(curve - np.linspace(curve[0], curve[-1], len(curve))))
