from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.images.phantoms.speckle import log_compress, speckle
from utils.images.preprocessing import preprocess
from utils.images.preprocessing.diffusion import _step


def speckled(seed: int = 0) -> np.ndarray:
    """Two halves, 15 dB apart, under fully developed speckle."""
    strength = np.full((80, 80), 1.0, np.float32)
    strength[:, 40:] = 10 ** (15 / 20)
    return log_compress(speckle(strength, np.random.default_rng(seed)), 60, -20).astype(np.uint8)


def one_step_of_the_paper(image: np.ndarray, time_step: float) -> np.ndarray:
    """Pixel by pixel, as the equations are written."""
    height, width = image.shape

    def at(values: np.ndarray, row: int, column: int) -> float:
        return float(values[min(max(row, 0), height - 1), min(max(column, 0), width - 1)])

    q2 = np.zeros(image.shape)
    for i in range(height):
        for j in range(width):
            here = at(image, i, j)
            forward = [at(image, i + 1, j) - here, at(image, i, j + 1) - here]
            backward = [here - at(image, i - 1, j), here - at(image, i, j - 1)]
            gradient = sum(d * d for d in forward + backward) / here**2
            laplacian = (sum(forward) - sum(backward)) / here
            q2[i, j] = (gradient / 2 - laplacian**2 / 16) / (1 + laplacian / 4) ** 2
    q02 = float(np.median(q2[q2 > 0]))
    c = np.minimum(1, 1 / (1 + (q2 - q02) / (q02 * (1 + q02))))
    result = np.zeros(image.shape)
    for i in range(height):
        for j in range(width):
            here = at(image, i, j)
            divergence = at(c, i + 1, j) * (at(image, i + 1, j) - here) + at(c, i, j) * (at(image, i - 1, j) - here)
            divergence += at(c, i, j + 1) * (at(image, i, j + 1) - here) + at(c, i, j) * (at(image, i, j - 1) - here)
            result[i, j] = here + time_step / 4 * divergence
    return result


def test_a_step_is_that_of_the_paper() -> None:
    image = np.exp(np.random.default_rng(3).random((7, 9)))
    expected = one_step_of_the_paper(image, 0.5)
    assert np.allclose(_step(image.astype(np.float32), np.float32(0.5)), expected, atol=1e-5)
    assert np.abs(expected - image).max() > 0.05


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), time_step=st.floats(0.05, 1))
def test_what_leaves_a_pixel_arrives_at_another_and_nothing_overshoots(seed: int, time_step: float) -> None:
    image = np.exp(np.random.default_rng(seed).random((12, 9))).astype(np.float32)
    result = _step(image, np.float32(time_step))
    assert result.mean(dtype=np.float64) == pytest.approx(image.mean(dtype=np.float64), rel=1e-6)
    assert image.min() - 1e-5 <= result.min() <= result.max() <= image.max() + 1e-5


def test_speckle_goes_and_the_edge_stays() -> None:
    image = speckled().astype(float)
    result = preprocess(speckled(), [("srad", {"iterations": 40})]).astype(float)
    blurred = cv2.GaussianBlur(image, (0, 0), np.sqrt(40 * 0.5 / 2))
    # Away from the edge and the border; the means stay where they were.
    dark, bright = (slice(8, 72), slice(8, 32)), (slice(8, 72), slice(48, 72))
    for side in (dark, bright):
        assert result[side].std() < 0.6 * image[side].std()
        assert result[side].mean() == pytest.approx(image[side].mean(), abs=8)

    def rise(pixels: np.ndarray) -> float:
        """What of the difference between the halves happens within six pixels."""
        columns = pixels[8:72].mean(axis=0)
        return (columns[42:45].mean() - columns[35:38].mean()) / (pixels[bright].mean() - pixels[dark].mean())

    assert rise(result) > rise(blurred) + 0.05


def test_more_iterations_smooth_more() -> None:
    spread = [
        float(np.abs(np.diff(preprocess(speckled(), [("srad", {"iterations": n})]).astype(int))).mean())
        for n in (1, 5, 25)
    ]
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < 0.5 * spread[0]
