from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.images.resizing import resize_image, resize_mask

SIDES = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.integers(0, 2**32 - 1))
def test_masks_stay_binary_and_are_empty_or_full_only_where_they_were(
    native: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random(native) < rng.choice([0.0, 0.02, 0.5, 1.0])).astype(np.uint8)
    resized = resize_mask(mask, size)
    assert resized.shape == size
    assert resized.dtype == np.uint8
    assert set(np.unique(resized)) <= {0, 1}
    assert resized.any() == mask.any()
    if mask.all():
        assert resized.all()


def test_a_pixel_is_set_from_half_coverage_on() -> None:
    mask = np.zeros((4, 8), np.uint8)
    mask[:2, 0], mask[:2, 2:4], mask[0, 6] = 1, 1, 1
    # Covered: the upper left pixel by 2 of 4, the next by 4 of 4, the last by 1 of 4.
    assert resize_mask(mask, (2, 4)).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]


def test_a_lesion_smaller_than_half_a_pixel_survives() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[40:42, 20:22] = 1
    assert np.argwhere(resize_mask(mask, (8, 8))).tolist() == [[5, 2]]


def test_shrinking_averages_and_growing_interpolates() -> None:
    image = np.array([[0, 100], [100, 200]], np.uint8)
    assert resize_image(image, (1, 1)).tolist() == [[100]]
    assert resize_image(image, (1, 2)).tolist() == [[50, 150]]
    assert resize_image(image[:1], (1, 4)).tolist() == [[0, 25, 75, 100]]
    # One side shrinks and the other grows.
    assert resize_image(image, (1, 4)).tolist() == [[50, 75, 125, 150]]


def test_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (13, 9, 3), np.uint8)
    assert np.array_equal(resize_image(image, (13, 9)), image)


@pytest.mark.parametrize("size", [64, 128, 200])
def test_masks_do_not_move(size: int) -> None:
    """Nearest neighbours would move them by half a pixel of the smaller size."""
    mask = np.zeros((300, 400), np.uint8)
    cv2.ellipse(mask, (211, 147), (90, 60), 30, 0, 360, 1, -1)
    before = np.argwhere(mask).mean(axis=0) + 0.5
    after = (np.argwhere(resize_mask(mask, (size, size))).mean(axis=0) + 0.5) * np.array(mask.shape) / size
    assert np.abs(before - after).max() < 0.1 * 400 / size
