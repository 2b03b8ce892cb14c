from __future__ import annotations

import cv2
import numpy as np
import pytest

from utils.images.preprocessing import preprocess
from utils.images.preprocessing.contrast import _entropy, _knee


def picture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


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


@pytest.mark.parametrize(
    ("values", "bits"), [([7] * 8, 0.0), ([0, 255] * 4, 1.0), ([1, 2, 3, 4] * 2, 2.0), ([0, 0, 0, 9], 0.811278)]
)
def test_entropy_is_shannons(values: list[int], bits: float) -> None:
    assert _entropy(np.array(values, np.uint8)) == pytest.approx(bits, abs=1e-6)


def test_the_knee_is_where_a_curve_bends_most() -> None:
    assert _knee(np.array([0.0, 5.0, 8.0, 8.5, 9.0])) == 2
    assert _knee(np.array([3.0, 3.0, 3.0])) == 0
    # The tangent of 1 - exp(-x / 2) is parallel to the chord at x = 2 ln(8 / 2 / (1 - exp(-4))): 2.81.
    steps = np.linspace(0, 8, 801)
    assert steps[_knee(1 - np.exp(-steps / 2))] == pytest.approx(2.81, abs=0.01)


def blotched(deviation: float) -> np.ndarray:
    """Blotches around 90; large, since OpenCV cuts histograms at whole pixels of a tile."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (256, 256)), (0, 0), 6)
    return np.clip(np.rint(90 + deviation * noise / noise.std()), 0, 255).astype(np.uint8)


def chosen_limit(image: np.ndarray) -> int:
    """The first of the limits 1 to 16 at which CLAHE gives what adaptive CLAHE gives."""
    result = preprocess(image, [("adaptive_clahe", {"highest": 16.0, "candidates": 16})])
    fixed = [preprocess(image, [("clahe", {"clip_limit": float(limit)})]) for limit in range(1, 17)]
    return next(limit for limit, other in enumerate(fixed, start=1) if np.array_equal(other, result))


def test_adaptive_clahe_stops_sooner_where_there_is_contrast_already() -> None:
    chosen = [chosen_limit(blotched(deviation)) for deviation in (8, 16, 32)]
    assert chosen == sorted(set(chosen), reverse=True)
    assert 1 < chosen[-1] < chosen[0] < 16


def test_adaptive_clahe_leaves_a_flat_image_at_the_lowest_limit() -> None:
    assert chosen_limit(np.full((64, 64), 80, np.uint8)) == 1
