"""Grey values on one scale: each image by its own statistics, never by those of others."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from utils.images.preprocessing.step import PREPROCESSING, Step

_GREYS = np.arange(256, dtype=np.float64)


@PREPROCESSING.register("grey")
def grey() -> Step:
    """One channel of three: luma after ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B. Grey images stay as they are."""
    return lambda image: image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


@PREPROCESSING.register("percentiles")
def percentiles(
    *,
    low: Annotated[float, Field(ge=0, lt=50)] = 1.0,
    high: Annotated[float, Field(gt=50, le=100)] = 99.0,
    ignore_black: bool = True,
) -> Step:
    """Stretches an image so that two percentiles of its grey values become 0 and 255; beyond them it is cut.

    low, high: the percentiles. ignore_black: leave pixels of 0 out of them, such as the borders of ultrasound.
    Colours are stretched by one line for all channels. An image whose percentiles coincide stays as it is.
    """

    def stretch(image: np.ndarray) -> np.ndarray:
        dark, bright = np.percentile(_counted(image, ignore_black), [low, high])
        return image if dark == bright else _looked_up(image, (_GREYS - dark) * 255 / (bright - dark))

    return stretch


@PREPROCESSING.register("z_score")
def z_score(*, deviations: Annotated[float, Field(gt=0, le=10)] = 3.0, ignore_black: bool = True) -> Step:
    """Standardises an image by the mean and standard deviation of its grey values, cut and kept in 8 bits.

    deviations: standard deviations below and above the mean, that become 0 and 255; the mean becomes 128.
    ignore_black: leave pixels of 0 out of both. Colours are standardised by one line for all channels. A flat
    image becomes 128.
    """

    def standardise(image: np.ndarray) -> np.ndarray:
        counted = _counted(image, ignore_black)
        mean, deviation = float(counted.mean()), float(counted.std())
        scores = (_GREYS - mean) / deviation if deviation else np.zeros(256)
        return _looked_up(image, 127.5 * (1 + scores / deviations))

    return standardise


def _counted(image: np.ndarray, ignore_black: bool) -> np.ndarray:
    """The grey values that statistics are taken of: all of them where there would be none."""
    seen = image[image > 0] if ignore_black else image
    return seen if seen.size else image


def _looked_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Every pixel replaced by the value in a table of 256, rounded and cut to 8 bits."""
    return np.clip(np.rint(table), 0, 255).astype(np.uint8)[image]
