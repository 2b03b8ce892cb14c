"""Texture maps as something that a network sees: mixed into the image, or in channels of their own."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from utils.errors import Problem, UserError
from utils.images.preprocessing.cooccurrence import Texture, texture_maps
from utils.images.preprocessing.step import PREPROCESSING, TEXTURE_CHANNELS, Step, odd, on_lightness

Window = Annotated[int, Field(ge=5, le=63), AfterValidator(odd)]
Levels = Annotated[int, Field(ge=2, le=64)]
Distance = Annotated[int, Field(ge=1, le=4)]


def _different(maps: tuple[Texture, Texture]) -> tuple[Texture, Texture]:
    if maps[0] == maps[1]:
        raise ValueError("two channels with the same map tell a network nothing more: name two of them")
    return maps


@PREPROCESSING.register("glcm_overlay")
def glcm_overlay(
    *,
    map: Texture = "contrast",
    window: Window = 9,
    levels: Levels = 16,
    distance: Distance = 1,
    opacity: Annotated[float, Field(gt=0, le=1)] = 0.5,
) -> Step:
    """Mixes one map of the grey-level co-occurrence into the image (Haralick et al. 1973).

    map: contrast, homogeneity, energy or correlation, see `texture_maps`; window, levels, distance: of it, in pixels
    of the original image. opacity: the map's share, the rest is the image's. RGB images are mixed in the L channel
    of LAB.
    """

    def mix(grey: np.ndarray) -> np.ndarray:
        drawn = _drawn(grey, (map,), window, levels, distance)[0]
        return np.rint((1 - opacity) * grey + opacity * drawn).astype(np.uint8)

    return lambda image: on_lightness(image, mix)


@PREPROCESSING.register(TEXTURE_CHANNELS)
def glcm_channels(
    *,
    maps: Annotated[tuple[Texture, Texture], AfterValidator(_different)] = ("contrast", "correlation"),
    window: Window = 9,
    levels: Levels = 16,
    distance: Distance = 1,
) -> Step:
    """Puts two maps of the grey-level co-occurrence where colours would be (Haralick et al. 1973).

    maps: those of the second and the third channel; the first is the image. window, levels, distance: of both, see
    `texture_maps`; in pixels of the original image.

    Grey (height, width) to (height, width, 3). Has to be the last step. Raises UserError for an image with colours,
    whose channels are taken.
    """

    def stack(image: np.ndarray) -> np.ndarray:
        if image.ndim == 3:
            message = f"{TEXTURE_CHANNELS} needs the channels of an image's colours, and this one has some: "
            raise UserError(Problem("dataset.preprocessing", message + "put the step grey before it, or glcm_overlay"))
        return np.dstack([image, *_drawn(image, maps, window, levels, distance)])

    return stack


def _drawn(
    grey: np.ndarray, textures: tuple[Texture, ...], window: int, levels: int, distance: int
) -> list[np.ndarray]:
    """Maps as uint8 (height, width), on scales that are the same for all images.

    Contrast is drawn by its logarithm: almost all of it is near 1, where its largest value is (levels - 1)^2.
    """
    found = texture_maps(grey, textures, window, levels, distance)
    if "contrast" in found:
        found["contrast"] = np.log1p(found["contrast"]) / np.log1p((levels - 1) ** 2)
    if "correlation" in found:
        found["correlation"] = (1 + found["correlation"]) / 2
    return [np.rint(found[name] * 255).astype(np.uint8) for name in textures]
