from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from utils.images.preprocessing import preprocess


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


def noisy_step(seed: int = 0) -> np.ndarray:
    """60 left, 160 right, and noise with a standard deviation of 8."""
    clean = np.full((64, 64), 60.0)
    clean[:, 32:] = 160
    return np.clip(np.rint(clean + np.random.default_rng(seed).normal(0, 8, clean.shape)), 0, 255).astype(np.uint8)


def test_bilateral_is_the_weighted_mean_of_the_paper() -> None:
    image = np.random.default_rng(2).integers(0, 256, (9, 9), np.uint8)
    result = preprocess(image, [("bilateral", {"size": 5, "grey_sigma": 30, "pixel_sigma": 2})])
    rows, columns = np.mgrid[-2:3, -2:3]
    near = np.where(rows**2 + columns**2 <= 4, np.exp(-(rows**2 + columns**2) / (2 * 2**2)), 0)
    for row, column in [(2, 2), (4, 5), (6, 3)]:
        patch = image[row - 2 : row + 3, column - 2 : column + 3].astype(float)
        weights = near * np.exp(-((patch - patch[2, 2]) ** 2) / (2 * 30**2))
        assert result[row, column] == pytest.approx((weights * patch).sum() / weights.sum(), abs=1)


def test_bilateral_smooths_both_sides_of_an_edge_and_leaves_it() -> None:
    image = noisy_step()
    result = preprocess(image, [("bilateral", {})]).astype(float)
    assert result[:, :28].std() < 0.5 * image[:, :28].std()
    assert result[:, 32].mean() - result[:, 31].mean() > 80
