"""Random parameters that cases and batches are augmented with alike."""

from __future__ import annotations

import random

import cv2
import numpy as np


def drawn_affine(
    chance: random.Random, height: int, width: int, degrees: float, shift: float, scale: float
) -> np.ndarray:
    """Rotation, scaling and shift about the centre: a matrix, float64 (2, 3), that takes a source to where it goes.

    Uniform within +-`degrees`, +-`shift` of width and height, and a factor within 1 +- `scale`.
    """
    uniform = chance.uniform
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, uniform(-degrees, degrees), 1 + uniform(-scale, scale))
    matrix[0, 2] += uniform(-shift, shift) * width
    matrix[1, 2] += uniform(-shift, shift) * height
    return matrix
