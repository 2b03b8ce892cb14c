"""What a step is, where steps are registered, and how they follow each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from utils.errors import Problem, UserError
from utils.registry import Registry

PREPROCESSING_VERSION = 1
"""Raised whenever a step gives other pixels than before; part of every cache key."""

Step = Callable[[np.ndarray], np.ndarray]
"""uint8 (height, width) or RGB (height, width, 3) to uint8 of the same height and width; leaves its input as it is."""

PREPROCESSING: Registry[Callable[..., Step]] = Registry("preprocessing step")
"""Name -> factory of a step. All keep the number of channels but ``grey`` and ``glcm_channels``."""

TEXTURE_CHANNELS = "glcm_channels"
"""The step after which channels are no colours any more."""


def preprocess(image: np.ndarray, parts: Sequence[tuple[str, Mapping[str, Any]]]) -> np.ndarray:
    """Applies the steps in their order.

    image: uint8, (height, width) or RGB (height, width, 3).
    parts: pairs of a registered name and its options.

    Returns uint8 of the same height and width. Raises UserError for an unknown name, steps that cannot follow
    each other, or an image that a step cannot take; pydantic's ValidationError for options that a step refuses.
    """
    check_order(parts)
    for name, options in parts:
        image = PREPROCESSING[name](**PREPROCESSING.check(name, options))(image)
    return image


def check_order(parts: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Raises UserError where a step would take texture maps for colours."""
    if any(name == TEXTURE_CHANNELS for name, _ in parts[:-1]):
        message = f"{TEXTURE_CHANNELS} has to be the last step: those after it would take texture maps for colours"
        raise UserError(Problem("dataset.preprocessing", message, value=[name for name, _ in parts]))


def odd(size: int) -> int:
    """A validator of kernel sizes."""
    if size % 2 == 0:
        raise ValueError("a kernel needs a middle pixel: give an odd number")
    return size


def on_lightness(image: np.ndarray, step: Step) -> np.ndarray:
    """Applies a step for grey images to one with colours too: to the L channel of LAB, which keeps hues.

    image: uint8, (height, width) or RGB (height, width, 3). Returns the same.
    """
    if image.ndim == 2:
        return step(image)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = step(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
