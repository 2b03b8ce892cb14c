"""From 16 bits or fewer to the 8 that a network sees: a window of grey values is spread over 0 to 255."""

from __future__ import annotations

from typing import Literal

import numpy as np

Window = Literal["percentiles", "stored", "full"]
"""How a window is chosen: from the image's own grey values, as the file asks for, or all that its bits can hold."""

_PERCENTILES = (0.5, 99.5)


def windowed(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8: `low` and what is below becomes 0, `high` and what is above 255, linear between.

    pixels: numbers of any type, (height, width). Raises ValueError unless low < high.
    """
    if not low < high:
        raise ValueError(f"a window must be wider than nothing: {low} to {high}")
    scaled = (pixels.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def percentile_window(pixels: np.ndarray) -> tuple[float, float]:
    """(low, high): the 0.5th and the 99.5th percentile of the pixels above the darkest value.

    The darkest value is left out, because the air around a breast is half of a mammogram. An image without contrast
    has a window that makes it black. Of this image alone: no other, of whatever part of a fold, has a say in it.
    """
    seen = pixels[pixels > pixels.min()]
    if seen.size == 0:
        return float(pixels.min()), float(pixels.min()) + 1
    low, high = (float(value) for value in np.percentile(seen, _PERCENTILES))
    return (low, high) if low < high else (float(pixels.min()), high)


def full_window(bits: int) -> tuple[float, float]:
    """(low, high) of unsigned integers with so many bits."""
    return 0.0, float(2**bits - 1)
