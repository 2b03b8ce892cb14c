from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import pytest
from skimage.feature import graycomatrix, graycoprops

from utils.errors import UserError
from utils.images.preprocessing import preprocess
from utils.images.preprocessing.cooccurrence import Texture, texture_maps

TEXTURES: tuple[Texture, ...] = get_args(Texture)


def picture(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 1.2)
    image[: shape[0] // 2, : shape[1] // 2] = 77  # windows without any variation
    return image


@pytest.mark.parametrize(
    ("shape", "window", "levels", "distance"), [((13, 11), 5, 8, 1), ((9, 14), 7, 16, 2), ((6, 7), 9, 32, 4)]
)
def test_maps_are_those_of_scikit_image_window_by_window(
    shape: tuple[int, int], window: int, levels: int, distance: int
) -> None:
    image = picture(shape)
    found = texture_maps(image, TEXTURES, window, levels, distance)
    bins = np.pad((image.astype(int) * levels // 256).astype(np.uint8), window // 2, mode="symmetric")
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    for row in range(shape[0]):
        for column in range(shape[1]):
            patch = bins[row : row + window, column : column + window]
            matrix = graycomatrix(patch, [distance], angles, levels, symmetric=True, normed=True)
            for name in TEXTURES:
                expected = graycoprops(matrix, name).mean()
                assert found[name][row, column] == pytest.approx(expected, abs=1e-12), (name, row, column)


def test_a_checkerboard_counted_by_hand() -> None:
    """Neighbours in rows and columns differ by the only step there is, diagonal ones are equal."""
    board = np.indices((15, 15)).sum(axis=0) % 2 * np.uint8(255)
    maps = texture_maps(board.astype(np.uint8), TEXTURES, 5, 2, 1)
    middle = (7, 7)
    assert maps["contrast"][middle] == pytest.approx((1 + 0 + 1 + 0) / 4)
    assert maps["homogeneity"][middle] == pytest.approx((0.5 + 1 + 0.5 + 1) / 4)
    assert maps["correlation"][middle] == pytest.approx((-1 + 1 - 1 + 1) / 4)
    # Of unequal pairs half lie in each of two cells; of the 16 diagonal ones in a window 8 are dark and 8 bright.
    assert maps["energy"][middle] == pytest.approx(np.sqrt(0.5))


def test_a_flat_image_has_no_texture() -> None:
    maps = texture_maps(np.full((6, 5), 200, np.uint8), TEXTURES, 5, 16, 1)
    assert {name: set(values.ravel().tolist()) for name, values in maps.items()} == {
        "contrast": {0.0},
        "homogeneity": {1.0},
        "energy": {1.0},
        "correlation": {1.0},
    }


def test_channels_hold_the_image_and_the_chosen_maps() -> None:
    image = picture((20, 24))
    result = preprocess(image, [("glcm_channels", {"maps": ["energy", "correlation"], "levels": 8, "window": 7})])
    maps = texture_maps(image, ["energy", "correlation"], 7, 8, 1)
    assert np.array_equal(result[..., 0], image)
    assert np.abs(result[..., 1] / 255 - maps["energy"]).max() <= 0.5 / 255 + 1e-9
    assert np.abs(result[..., 2] / 255 * 2 - 1 - maps["correlation"]).max() <= 1 / 255 + 1e-9


def test_channels_are_refused_to_colours_and_given_to_grey() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    with pytest.raises(UserError, match="put the step grey before it"):
        preprocess(image, [("glcm_channels", {})])
    assert preprocess(image, [("grey", {}), ("glcm_channels", {})]).shape == (12, 12, 3)


def test_an_overlay_mixes_image_and_map() -> None:
    image = picture((20, 24))
    alone = preprocess(image, [("glcm_overlay", {"opacity": 1})]).astype(float)
    mixed = preprocess(image, [("glcm_overlay", {"opacity": 0.25})]).astype(float)
    assert np.abs(mixed - (0.75 * image + 0.25 * alone)).max() <= 0.5 + 1e-9
    # More contrast is brighter.
    contrast = texture_maps(image, ["contrast"], 9, 16, 1)["contrast"].ravel()
    assert (np.diff(alone.ravel()[np.argsort(contrast, kind="stable")]) >= 0).all()


def test_an_overlay_leaves_hues() -> None:
    image = np.random.default_rng(0).integers(90, 150, (32, 32, 3), np.uint8)
    result = preprocess(image, [("glcm_overlay", {"map": "homogeneity", "opacity": 0.3})])
    before, after = (cv2.cvtColor(each, cv2.COLOR_RGB2LAB).astype(int) for each in (image, result))
    assert np.median(np.abs(after[..., 1:] - before[..., 1:])) <= 1
