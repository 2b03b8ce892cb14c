from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.images.preprocessing import preprocess
from utils.images.reading import read_image, read_mask

BUSI_MINI = Path(__file__).parents[5] / "shared" / "data" / "busi_mini"


def tissue(shape: tuple[int, int] = (160, 200), seed: int = 0) -> np.ndarray:
    """Smooth speckle around 90, with bright lines across the image, as fascia has them."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 60, shape), (0, 0), 2)
    image = np.clip(90 + noise, 20, 200).astype(np.uint8)
    for row in (30, 75, 120):
        cv2.line(image, (0, row), (shape[1], row + 6), 230, 2)
    return image


def sector(image: np.ndarray) -> np.ndarray:
    """uint8 0 and 1: a field of view that widens with depth."""
    height, width = image.shape
    corners = np.array([[60, 0], [width - 60, 0], [width - 1, height - 1], [0, height - 1]])
    return cv2.fillConvexPoly(np.zeros_like(image), corners, 1)


def test_a_border_becomes_black_with_all_that_is_written_there() -> None:
    seen = sector(tissue())
    inside = tissue() * seen
    image = np.where(seen > 0, inside, 3).astype(np.uint8)
    cv2.putText(image, "E9", (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 220, 1)
    result = preprocess(image, [("blank_border", {})])
    assert np.array_equal(result[seen > 0], image[seen > 0])
    assert (result[:40, :30] == 0).all()


def test_a_cyst_and_a_shadow_within_the_view_are_left_alone() -> None:
    image = tissue()
    image[60:100, 80:120] = 0
    image[100:150, 90:110] = 2
    assert np.array_equal(preprocess(image, [("blank_border", {})]), image)


def test_an_image_without_a_view_is_left_alone() -> None:
    image = np.zeros((50, 60), np.uint8)
    image[20, 10:50] = 255
    assert np.array_equal(preprocess(image, [("blank_border", {})]), image)


def test_colours_lose_their_border_too() -> None:
    seen = sector(tissue())
    image = np.dstack([tissue() * seen + 2, tissue(seed=1) * seen, tissue(seed=2) * seen])
    result = preprocess(image, [("blank_border", {})])
    assert np.array_equal(result[seen > 0], image[seen > 0])
    assert (result[:40, :30] == 0).all()


def test_text_and_calipers_are_painted_over_and_fascia_stays() -> None:
    clean = tissue()
    image = clean.copy()
    cv2.putText(image, "LEFT", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
    cv2.drawMarker(image, (150, 100), 255, cv2.MARKER_CROSS, 9, 1)
    marked = image != clean
    result = preprocess(image, [("erase_markings", {})]).astype(int)
    before, after = (np.abs(each.astype(int) - clean)[marked].mean() for each in (image, result))
    assert after < 0.2 * before
    elsewhere = cv2.dilate(marked.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    assert (result[elsewhere] != clean[elsewhere]).mean() < 0.01
    assert np.array_equal(preprocess(clean, [("erase_markings", {})])[30:36], clean[30:36])


@pytest.mark.skipif(not BUSI_MINI.is_dir(), reason="the real images are not here")
def test_no_lesion_of_real_images_is_taken_for_a_border() -> None:
    paths = sorted(path for path in BUSI_MINI.glob("*/*).png"))[::12]
    assert len(paths) == 20
    blanked = 0
    for path in paths:
        image, mask = read_image(path), read_mask(path.with_name(f"{path.stem}_mask.png"))
        result = preprocess(image, [("blank_border", {})])
        assert np.array_equal(result[mask > 0], image[mask > 0]), path.name
        blanked += int((result != image).any())
    assert 0 < blanked < 20
