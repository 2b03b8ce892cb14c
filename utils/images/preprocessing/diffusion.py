"""Speckle reduction by diffusion that stops at edges."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from utils.images.preprocessing.step import PREPROCESSING, Step, on_lightness


@PREPROCESSING.register("srad")
def srad(
    *,
    iterations: Annotated[int, Field(ge=1, le=500)] = 20,
    time_step: Annotated[float, Field(gt=0, le=1)] = 0.5,
) -> Step:
    """Speckle reducing anisotropic diffusion (Yu and Acton, IEEE Trans. Image Process. 11(11), 2002).

    iterations: how often grey values flow to their four neighbours. time_step: the share of a step, at most 1;
    together they say how far speckle is smoothed, about sqrt(iterations x time_step / 2) pixels of the original
    image. RGB images are smoothed in the L channel of LAB.

    Grey values are taken as log-compressed, as scanners show them, and diffused as exp(grey / 255), as the authors'
    own program does. Where the paper asks for a homogeneous region drawn by hand, the speckle's coefficient of
    variation q0 is the median over the image at every iteration (Aja-Fernandez and Alberola-Lopez, On the Estimation
    of the Coefficient of Variation for Anisotropic Diffusion Speckle Filtering, IEEE Trans. Image Process. 15(9),
    2006), without pixels of no variation, such as black borders.
    """

    def diffuse(grey: np.ndarray) -> np.ndarray:
        intensity = np.exp(grey.astype(np.float32) / np.float32(255))
        for _ in range(iterations):
            intensity = _step(intensity, np.float32(time_step))
        return np.clip(np.rint(np.log(intensity) * np.float32(255)), 0, 255).astype(np.uint8)

    return lambda image: on_lightness(image, diffuse)


def _step(intensity: np.ndarray, time_step: np.float32) -> np.ndarray:
    """One iteration. intensity: float32 > 0, (height, width); so is the answer."""
    flows = _differences(intensity)
    variation = _variation(intensity, flows)
    speckled = variation[variation > 0]
    if speckled.size == 0:
        return intensity
    level = np.median(speckled)
    passing = np.clip(1 / (1 + (variation - level) / (level * (1 + level))), 0, 1)
    # An edge between two pixels has one coefficient, that of the lower or the right one: what leaves a pixel
    # arrives at its neighbour, and the image's mean stays what it is.
    beyond = np.pad(passing, ((0, 1), (0, 1)), mode="edge")
    below, right = beyond[1:, :-1], beyond[:-1, 1:]
    up, down, left, across = flows
    return intensity + time_step / 4 * (passing * (up + left) + below * down + right * across)


def _differences(intensity: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """From every pixel to that above, below, left and right; 0 across the image's border."""
    padded = np.pad(intensity, 1, mode="edge")
    above, below = padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    return above - intensity, below - intensity, left - intensity, right - intensity


def _variation(intensity: np.ndarray, flows: tuple[np.ndarray, ...]) -> np.ndarray:
    """The square of the instantaneous coefficient of variation at every pixel, which is never negative."""
    gradient = sum(np.square(flow) for flow in flows) / np.square(intensity)
    laplacian = sum(flows) / intensity
    return (gradient / 2 - np.square(laplacian) / 16) / np.square(1 + laplacian / 4)
