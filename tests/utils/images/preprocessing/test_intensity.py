from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.images.preprocessing import preprocess


def ramp() -> np.ndarray:
    """Every value of 50 to 149 once, 10 x 10."""
    return np.arange(50, 150, dtype=np.uint8).reshape(10, 10)


def test_percentiles_become_the_ends_of_the_range() -> None:
    result = preprocess(ramp(), [("percentiles", {"low": 0, "high": 100})])
    assert (result[0, 0], result[-1, -1]) == (0, 255)
    # The 10th percentile of 50 to 149 is 59.9, the 90th 139.1.
    cut = preprocess(ramp(), [("percentiles", {"low": 10, "high": 90})])
    assert (cut[0] == 0).all()
    assert (cut[-1] == 255).all()
    assert cut[5, 0] == round((100 - 59.9) * 255 / (139.1 - 59.9))


def test_z_score_has_the_asked_mean_and_deviation() -> None:
    result = preprocess(ramp(), [("z_score", {"deviations": 3})]).astype(float)
    assert result.mean() == pytest.approx(127.5, abs=0.5)
    assert result.std() == pytest.approx(127.5 / 3, abs=0.5)
    assert np.array_equal(preprocess(np.full((4, 4), 9, np.uint8), [("z_score", {})]), np.full((4, 4), 128))


@pytest.mark.parametrize("name", ["percentiles", "z_score"])
def test_black_borders_have_no_say_unless_they_are_asked(name: str) -> None:
    framed = np.pad(ramp(), 10)
    inside = (slice(10, 20), slice(10, 20))
    assert np.array_equal(preprocess(framed, [(name, {})])[inside], preprocess(ramp(), [(name, {})]))
    assert not np.array_equal(
        preprocess(framed, [(name, {"ignore_black": False})])[inside], preprocess(ramp(), [(name, {})])
    )


@settings(max_examples=25, deadline=None)
@given(gain=st.floats(0.3, 1.0), offset=st.integers(1, 60), name=st.sampled_from(["percentiles", "z_score"]))
def test_gain_and_brightness_of_the_scanner_make_no_difference(gain: float, offset: int, name: str) -> None:
    image = np.random.default_rng(0).integers(0, 190, (32, 32)).astype(np.float64)
    first = preprocess(np.rint(image + 1).astype(np.uint8), [(name, {})]).astype(int)
    other = preprocess(np.rint(image * gain + offset).astype(np.uint8), [(name, {})]).astype(int)
    # Rounding to whole grey values is half a value, stretched by the window of the darker image.
    assert np.abs(first - other).max() <= np.ceil(0.75 * 255 / (188 * gain)) + 1


def test_colours_are_stretched_by_one_line() -> None:
    image = np.random.default_rng(1).integers(60, 120, (16, 16, 3), np.uint8)
    result = preprocess(image, [("percentiles", {"low": 0, "high": 100})])
    for value in np.unique(image):
        assert len(np.unique(result[image == value])) == 1


def test_grey_is_luma() -> None:
    image = np.random.default_rng(2).integers(0, 256, (16, 16, 3), np.uint8)
    expected = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(preprocess(image, [("grey", {})]) - expected).max() <= 1
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(preprocess(grey, [("grey", {})]), grey)
