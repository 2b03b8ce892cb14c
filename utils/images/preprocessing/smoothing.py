"""Speckle reduction by one pass of a filter; `srad` does it by diffusion."""

from __future__ import annotations

from typing import Annotated

import cv2
from pydantic import AfterValidator, Field

from utils.images.preprocessing.step import PREPROCESSING, Step, odd


@PREPROCESSING.register("median")
def median(*, size: Annotated[int, Field(ge=3, le=255), AfterValidator(odd)] = 3) -> Step:
    """Median of a square of `size` x `size` pixels: takes speckle away and leaves edges.

    size: odd, in pixels of the original image. Borders are replicated.
    """
    return lambda image: cv2.medianBlur(image, size)


@PREPROCESSING.register("bilateral")
def bilateral(
    *,
    size: Annotated[int, Field(ge=3, le=31), AfterValidator(odd)] = 7,
    grey_sigma: Annotated[float, Field(gt=0, le=255)] = 40.0,
    pixel_sigma: Annotated[float, Field(gt=0, le=31)] = 3.0,
) -> Step:
    """Bilateral filter: a mean of near pixels that are alike (Tomasi and Manduchi, ICCV 1998).

    size: odd, the diameter of the neighbourhood in pixels of the original image. grey_sigma: grey values over
    which pixels count as alike; of colours, the sum over the channels. pixel_sigma: pixels over which they count
    as near. Both are standard deviations of Gaussians.
    """
    return lambda image: cv2.bilateralFilter(image, size, grey_sigma, pixel_sigma)
