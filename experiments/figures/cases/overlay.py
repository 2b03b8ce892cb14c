"""What was found, what was missed and what was made up, in three colours over an image."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from experiments.figures.style import GREEN, SKY, VERMILLION

COLORS = {"true positive": GREEN, "false positive": VERMILLION, "false negative": SKY}
"""Lesion that was found, background that was called lesion, lesion that was missed."""

OPACITY = 0.5


def overlay(image: np.ndarray, prediction: np.ndarray, truth: np.ndarray, opacity: float = OPACITY) -> np.ndarray:
    """The image with every pixel of either mask tinted; uint8 (height, width, 3).

    image: uint8 (height, width) or (height, width, 3). prediction, truth: boolean (height, width).
    Raises ValueError if their sizes differ.
    """
    if not image.shape[:2] == prediction.shape == truth.shape:
        raise ValueError(f"image and masks differ in size: {image.shape}, {prediction.shape}, {truth.shape}")
    painted = (image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)).astype(np.float64)
    areas = (prediction & truth, prediction & ~truth, ~prediction & truth)
    for color, area in zip(COLORS.values(), areas, strict=True):
        painted[area] = (1 - opacity) * painted[area] + opacity * 255 * np.array(to_rgb(color))
    return np.round(painted).astype(np.uint8)


def legend_handles() -> list[Patch]:
    """A patch of each colour for a legend."""
    return [Patch(color=color, label=name) for name, color in COLORS.items()]
