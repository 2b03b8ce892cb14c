"""Windows of grey values: the ends, the middle, and images without contrast."""

from __future__ import annotations

import numpy as np
import pytest

from utils.images.windowing import full_window, percentile_window, windowed


def test_a_window_by_hand() -> None:
    assert windowed(np.array([[0, 100, 150, 200, 999]], np.uint16), 100, 200).tolist() == [[0, 0, 128, 255, 255]]


def test_the_whole_range_is_what_the_bits_can_hold() -> None:
    assert full_window(12) == (0, 4095)


def test_the_black_around_a_breast_has_no_say() -> None:
    tissue = np.linspace(1000, 2000, 1001)
    framed = np.concatenate([np.zeros(5000), tissue])
    assert percentile_window(framed) == pytest.approx(percentile_window(np.append(0, tissue)))
    assert percentile_window(framed) == pytest.approx((1005, 1995))


@pytest.mark.parametrize("pixels", [np.zeros((3, 3), np.uint16), np.full((3, 3), 65535, np.uint16)])
def test_an_image_without_contrast_is_black(pixels: np.ndarray) -> None:
    assert not windowed(pixels, *percentile_window(pixels)).any()


def test_two_values_are_black_and_white() -> None:
    pixels = np.array([[7, 7, 9]], np.uint16)
    assert windowed(pixels, *percentile_window(pixels)).tolist() == [[0, 0, 255]]


def test_a_window_without_width_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="wider than nothing"):
        windowed(np.zeros((2, 2)), 5, 5)
