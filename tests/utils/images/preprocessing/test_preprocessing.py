from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from utils.errors import UserError
from utils.images.preprocessing import PREPROCESSING, preprocess


def picture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


@pytest.mark.parametrize("name", PREPROCESSING)
@pytest.mark.parametrize("shape", [(40, 57), (40, 57, 3), (8, 8), (8, 8, 3), (1, 1), (2, 9, 3)])
def test_every_step_keeps_size_and_type_and_leaves_its_input(name: str, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    image.flags.writeable = False
    before = image.copy()
    if name == "glcm_channels" and len(shape) == 3:
        pytest.skip("takes no colours: test_texture.py")
    result = preprocess(image, [(name, {})])
    assert result.shape == {"grey": shape[:2], "glcm_channels": (*shape[:2], 3)}.get(name, shape)
    assert result.dtype == np.uint8
    assert np.array_equal(image, before)
    assert np.array_equal(preprocess(image, [(name, {})]), result)


@pytest.mark.parametrize("name", [name for name in PREPROCESSING if not name.startswith("glcm")])
@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_flat_image_stays_flat(name: str, level: int) -> None:
    image = np.full((24, 31), level, np.uint8)
    result = preprocess(image, [(name, {})])
    assert np.array_equal(result, np.full_like(image, result[0, 0]))
    if name not in ("clahe", "adaptive_clahe", "z_score"):  # these decide where a flat image lies
        assert np.array_equal(result, image)


def test_no_steps_change_nothing() -> None:
    image = picture((12, 9))
    assert np.array_equal(preprocess(image, []), image)


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
        ("adaptive_clahe", {"highest": 1}),
        ("adaptive_clahe", {"candidates": 2}),
        ("bilateral", {"size": 8}),
        ("bilateral", {"grey_sigma": 0}),
        ("srad", {"time_step": 1.5}),
        ("srad", {"iterations": 0}),
        ("grey", {"red": 1}),
        ("percentiles", {"low": 60}),
        ("percentiles", {"high": 40}),
        ("z_score", {"deviations": 0}),
        ("blank_border", {"detail": 10}),
        ("erase_markings", {"contrast": 0}),
        ("glcm_overlay", {"map": "entropy"}),
        ("glcm_overlay", {"opacity": 1.1}),
        ("glcm_overlay", {"window": 6}),
        ("glcm_overlay", {"levels": 1}),
        ("glcm_overlay", {"distance": 5}),
        ("glcm_channels", {"maps": ["contrast"]}),
        ("glcm_channels", {"maps": ["contrast", "contrast"]}),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        preprocess(picture((8, 8)), [(name, options)])


@pytest.mark.parametrize("name", PREPROCESSING)
def test_every_step_refuses_unknown_options_and_says_what_it_is(name: str) -> None:
    with pytest.raises(ValidationError, match="strength_of_nothing"):
        preprocess(picture((8, 8)), [(name, {"strength_of_nothing": 1})])
    assert (PREPROCESSING[name].__doc__ or "").strip()


def test_nothing_may_follow_texture_channels() -> None:
    with pytest.raises(UserError, match="last step"):
        preprocess(picture((8, 8)), [("glcm_channels", {}), ("clahe", {})])


def test_an_unknown_step_names_the_nearest() -> None:
    with pytest.raises(UserError, match="median"):
        preprocess(picture((8, 8)), [("medain", {})])
