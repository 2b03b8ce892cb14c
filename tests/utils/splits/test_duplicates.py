from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.splits.duplicates import components, near_duplicate_sets, pixel_digest, sets_of, thumbnail


def naive_components(count: int, pairs: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Sets of two or more by union-find, the second implementation."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for first, second in pairs:
        parent[root(first)] = root(second)
    members: dict[int, list[int]] = {}
    for node in range(count):
        members.setdefault(root(node), []).append(node)
    return sorted(tuple(each) for each in members.values() if len(each) > 1)


def textures(count: int, seed: int, noise: float) -> list[np.ndarray]:
    """Smooth pictures, each of which is one of a few textures plus its own noise."""
    rng = np.random.default_rng(seed)
    bases = [cv2.resize(rng.uniform(40, 210, (9, 9)), (70, 50)) for _ in range(max(1, count // 3))]
    return [
        np.clip(bases[rng.integers(len(bases))] + cv2.resize(rng.normal(0, noise, (12, 12)), (70, 50)), 0, 255).astype(
            np.uint8
        )
        for _ in range(count)
    ]


def test_thumbnail_has_zero_mean_and_unit_norm() -> None:
    image = np.random.default_rng(0).integers(0, 256, (97, 41), dtype=np.uint8)
    result = thumbnail(image)
    assert result.shape == (1024,)
    assert result.dtype == np.float32
    assert result.mean() == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(result) == pytest.approx(1, abs=1e-6)


def test_thumbnail_ignores_brightness_contrast_and_size() -> None:
    image = cv2.resize(np.random.default_rng(1).integers(60, 180, (8, 8), dtype=np.uint8), (128, 128))
    brighter = cv2.resize((image * 0.5 + 90).astype(np.uint8), (256, 192))
    assert thumbnail(image) @ thumbnail(brighter) > 0.99


def test_thumbnail_of_rgb_is_that_of_its_grey() -> None:
    grey = np.random.default_rng(2).integers(0, 256, (40, 50), dtype=np.uint8)
    np.testing.assert_array_equal(thumbnail(np.repeat(grey[..., None], 3, axis=2)), thumbnail(grey))


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (32, 32), (500, 2)])
def test_thumbnail_of_any_size(size: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, size, dtype=np.uint8)
    assert np.isfinite(thumbnail(image)).all()


def test_constant_images_are_like_nothing() -> None:
    blank = [thumbnail(np.full((40, 40), value, dtype=np.uint8)) for value in (0, 7, 255)]
    assert not np.any(blank)
    assert near_duplicate_sets(np.array(blank)) == []


def test_correlation_at_the_threshold_is_no_duplicate() -> None:
    # Two unit vectors at an angle whose cosine float32 holds exactly, so both sides of it can be asked for.
    rows = np.zeros((2, 1024), dtype=np.float32)
    rows[0, 0] = 1
    rows[1, :2] = 0.75, np.sqrt(1 - 0.75**2)
    assert near_duplicate_sets(rows, threshold=0.75) == []
    assert near_duplicate_sets(rows, threshold=0.75 - 1e-9) == [(0, 1)]


def test_copies_of_copies_are_one_set() -> None:
    # A path: neighbours correlate at cos 15 degrees (0.966), the next but one at cos 30 (0.866).
    rows = np.zeros((5, 1024), dtype=np.float32)
    for index in range(4):
        rows[index, :2] = np.cos(np.radians(15 * index)), np.sin(np.radians(15 * index))
    rows[4, 5] = 1
    assert near_duplicate_sets(rows) == [(0, 1, 2, 3)]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6), st.sampled_from([0.0, 10.0, 30.0]), st.integers(1, 9))
def test_sets_agree_with_corrcoef_and_union_find(count: int, seed: int, noise: float, block: int) -> None:
    thumbnails = np.array([thumbnail(image) for image in textures(count, seed, noise)])
    correlation = np.asarray(np.corrcoef(thumbnails.astype(np.float64)))
    pairs = [(i, j) for i in range(count) for j in range(i) if correlation[i, j] > 0.95]
    assert near_duplicate_sets(thumbnails, block=block) == naive_components(count, pairs)


@given(
    st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.lists(st.integers(0, n - 1), min_size=1))))
)
def test_components_agree_with_union_find(drawn: tuple[int, list[list[int]]]) -> None:
    count, sets = drawn
    pairs = [(first, second) for members in sets for first, second in pairwise(members)]
    assert sorted(sets_of(components(count, sets))) == naive_components(count, pairs)


def test_no_images_no_sets() -> None:
    assert near_duplicate_sets(np.empty((0, 1024), dtype=np.float32)) == []


def test_pixel_digest_is_of_the_picture() -> None:
    grey = np.random.default_rng(4).integers(0, 256, (12, 20), dtype=np.uint8)
    changed = grey.copy()
    changed[3, 3] ^= 1
    colour = np.repeat(grey[..., None], 3, axis=2)
    tinted = colour.copy()
    tinted[0, 0, 0] ^= 1
    assert pixel_digest(grey) == pixel_digest(np.asfortranarray(grey)) == pixel_digest(colour)
    others = {pixel_digest(image) for image in (changed, grey.reshape(20, 12), grey.T, tinted)}
    assert len(others) == 4
    assert pixel_digest(grey) not in others
