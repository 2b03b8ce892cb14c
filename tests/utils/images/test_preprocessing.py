from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from utils.errors import UserError
from utils.images.preprocessing import PREPROCESSING, preprocess


def picture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


@pytest.mark.parametrize("name", PREPROCESSING)
@pytest.mark.parametrize("shape", [(40, 57), (40, 57, 3), (1, 1), (2, 9, 3)])
def test_every_step_keeps_shape_and_type_and_leaves_its_input(name: str, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    image.flags.writeable = False
    before = image.copy()
    result = preprocess(image, [(name, {})])
    assert result.shape == shape
    assert result.dtype == np.uint8
    assert np.array_equal(image, before)


def test_no_steps_change_nothing() -> None:
    image = picture((12, 9))
    assert np.array_equal(preprocess(image, []), image)


@pytest.mark.parametrize("size", [3, 7])
def test_median_is_the_median_of_a_square(size: int) -> None:
    image = np.random.default_rng(2).integers(0, 256, (31, 22), np.uint8)
    expected = ndimage.median_filter(image, size=size, mode="nearest")
    assert np.array_equal(preprocess(image, [("median", {"size": size})]), expected)


def test_median_removes_a_speck_and_keeps_an_edge() -> None:
    image = np.zeros((9, 9), np.uint8)
    image[:, 5:] = 200
    speckled = image.copy()
    speckled[4, 2] = 255
    assert np.array_equal(preprocess(speckled, [("median", {})]), image)


def test_clahe_spreads_a_narrow_range() -> None:
    image = (picture((64, 64)) // 16 + 100).astype(np.uint8)
    assert preprocess(image, [("clahe", {})]).std() > 1.5 * image.std()


def test_clahe_clips_less_with_a_higher_limit() -> None:
    image = (picture((64, 64)) // 16 + 100).astype(np.uint8)
    spread = [float(preprocess(image, [("clahe", {"clip_limit": limit})]).std()) for limit in (1.0, 3.0, 10.0)]
    assert spread == sorted(spread)
    assert spread[0] < spread[-1]


def test_clahe_of_colours_works_on_lightness_alone() -> None:
    colours = np.stack([picture((64, 64), seed) // 4 + 90 for seed in range(3)], axis=-1).astype(np.uint8)
    result = preprocess(colours, [("clahe", {})])
    before = cv2.cvtColor(colours, cv2.COLOR_RGB2LAB).astype(int)
    after = cv2.cvtColor(result, cv2.COLOR_RGB2LAB).astype(int)
    assert after[..., 0].std() > 1.2 * before[..., 0].std()
    # Colours that leave the gamut are cut, so a few pixels differ.
    assert np.median(np.abs(after[..., 1:] - before[..., 1:])) <= 1


def test_grey_as_three_channels_stays_grey() -> None:
    image = picture((48, 48))
    result = preprocess(np.dstack([image] * 3), [("median", {}), ("clahe", {})]).astype(int)
    assert np.abs(result - result[..., :1]).max() <= 2


def test_steps_run_in_their_order() -> None:
    image = np.random.default_rng(3).integers(0, 256, (40, 40), np.uint8)
    steps = {"median": ("median", {"size": 5}), "clahe": ("clahe", {"tiles": 4})}
    one_by_one = preprocess(preprocess(image, [steps["median"]]), [steps["clahe"]])
    assert np.array_equal(preprocess(image, [steps["median"], steps["clahe"]]), one_by_one)
    assert not np.array_equal(preprocess(image, [steps["clahe"], steps["median"]]), one_by_one)


def test_threads_do_not_mix_their_images() -> None:
    images = [picture((90, 70), seed) for seed in range(40)]
    parts = [("median", {}), ("clahe", {})]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: preprocess(image, parts), images))
    for image, result in zip(images, together, strict=True):
        assert np.array_equal(preprocess(image, parts), result)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("median", {"size": 4}),
        ("median", {"size": 1}),
        ("median", {"kernel": 3}),
        ("clahe", {"clip_limit": 0}),
        ("clahe", {"tiles": 0}),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        preprocess(picture((8, 8)), [(name, options)])


def test_an_unknown_step_names_the_nearest() -> None:
    with pytest.raises(UserError, match="median"):
        preprocess(picture((8, 8)), [("medain", {})])
