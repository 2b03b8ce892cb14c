"""What is in an ultrasound image and not of the patient: dark borders, burned-in text, calipers.

Networks learn from them: calipers are set where somebody saw a lesion. Both steps leave the image's size alone.
"""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from pydantic import AfterValidator, Field

from utils.images.preprocessing.step import PREPROCESSING, Step, odd

_STROKES_DOWN = 0.3
"""The least share of a marking's pixels that stand out from those left and right of them."""

_INPAINTING_RADIUS = 3.0


@PREPROCESSING.register("blank_border")
def blank_border(
    *,
    level: Annotated[int, Field(ge=0, le=254)] = 4,
    detail: Annotated[int, Field(ge=3, le=255), AfterValidator(odd)] = 21,
) -> Step:
    """Makes everything outside the field of view black: a scanner's name, a scale, a rim that is not quite black.

    level: the highest grey value of a border. detail: odd, in pixels of the original image; what is smaller, as
    letters are, is no field of view.

    The field of view is the convex hull of the largest region above `level`, so that shadows and cysts inside it are
    kept, with a margin of a quarter of `detail`. What touches it stays. So does an image without such a region.
    """

    def blank(image: np.ndarray) -> np.ndarray:
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        seen = _field_of_view(grey, level, detail)
        return image * (seen if image.ndim == 2 else seen[..., None])

    return blank


def _field_of_view(grey: np.ndarray, level: int, detail: int) -> np.ndarray:
    """uint8 (height, width): 1 inside, everywhere where none is found."""
    # The median first: deep tissue is dim speckle, whose bright half alone would not survive an opening.
    lit = (cv2.medianBlur(grey, detail) > level).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (detail, detail))
    count, labels, facts, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(lit, cv2.MORPH_OPEN, disc))
    if count == 1:
        return np.ones_like(grey)
    largest = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
    rows, columns = np.nonzero(labels == largest)
    seen = np.zeros_like(grey)
    cv2.fillConvexPoly(seen, cv2.convexHull(np.column_stack([columns, rows]).astype(np.int32)), 1)
    # The opening rounds corners.
    margin = 2 * (detail // 4) + 1
    return cv2.dilate(seen, np.ones((margin, margin), np.uint8))


@PREPROCESSING.register("erase_markings")
def erase_markings(
    *,
    stroke: Annotated[int, Field(ge=3, le=63), AfterValidator(odd)] = 7,
    contrast: Annotated[int, Field(ge=1, le=255)] = 80,
    level: Annotated[int, Field(ge=1, le=255)] = 160,
) -> Step:
    """Paints over burned-in text and calipers from what is around them (Telea, J. Graphics Tools 9(1), 2004).

    stroke: odd, in pixels of the original image, more than the width of a letter's stroke. contrast: grey values by
    which strokes are brighter than what is around them (a white top-hat). level: the darkest grey value of a stroke.

    Tissue has thin bright lines too, but they run across the image: of a marking, three pixels in ten or more stand
    out from those left and right of them. This finds most markings and not all, and takes a few specks of tissue.
    """

    def erase(image: np.ndarray) -> np.ndarray:
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        found = _markings(grey, stroke, contrast, level)
        if not found.any():
            return image
        # A stroke fades over a pixel on either side, which would be painted all over the gap.
        return cv2.inpaint(image, cv2.dilate(found, np.ones((3, 3), np.uint8)), _INPAINTING_RADIUS, cv2.INPAINT_TELEA)

    return erase


def _markings(grey: np.ndarray, stroke: int, contrast: int, level: int) -> np.ndarray:
    """uint8 (height, width): 1 on text and calipers."""
    above = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((stroke, stroke), np.uint8)) >= contrast
    beside = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((1, stroke), np.uint8)) >= contrast
    thin = above & (grey >= level)
    count, labels = cv2.connectedComponents(thin.astype(np.uint8), connectivity=8)
    pixels = np.bincount(labels.ravel(), minlength=count)
    down = np.bincount(labels[thin & beside], minlength=count)
    marked = (pixels >= stroke // 2) & (down >= _STROKES_DOWN * pixels)
    marked[0] = False  # the background
    return marked[labels].astype(np.uint8)
