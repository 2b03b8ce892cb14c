"""Boundary metrics: masks drawn by hand, all pairs of border pixels as a second implementation, MONAI as a third."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from utils.metrics import METRICS, MaskPair, case_scores
from utils.metrics.masks import surfaces

BOUNDARY = ("hd95", "hausdorff", "assd", "nsd")
DISTANCES = BOUNDARY[:3]


def square(top: int, left: int, side: int, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def blobs(seed: int, shape: tuple[int, int] = (40, 50)) -> tuple[np.ndarray, np.ndarray]:
    """A disc, and the same moved and frayed."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    centre, radius = rng.uniform(12, 28, 2), rng.uniform(4, 14)
    reference = np.hypot(rows - centre[0], columns - centre[1]) < radius
    moved = np.hypot(rows - centre[0] - rng.uniform(-4, 4), columns - centre[1]) < radius * rng.uniform(0.6, 1.4)
    return moved ^ (rng.random(shape) < 0.02), reference


def by_all_pairs(
    prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0), tolerance: float = 2.0
) -> dict[str, float]:
    points = [np.argwhere(mask & ~binary_erosion(mask)) * spacing for mask in (prediction, reference)]
    distances = cdist(*points)
    there, back = distances.min(axis=1), distances.min(axis=0)
    both = np.concatenate([there, back])
    return {
        "hd95": max(np.percentile(there, 95), np.percentile(back, 95)),
        "hausdorff": both.max(),
        "assd": both.mean(),
        "nsd": np.mean(both <= tolerance * (1 + 1e-9)),
    }


def boundary(scores: dict[str, float]) -> dict[str, float]:
    return {name: scores[name] for name in BOUNDARY}


def test_a_square_moved_sideways() -> None:
    scores = case_scores(square(5, 5, 3), square(5, 9, 3))
    # of 8 border pixels on each side, 3 are 2 away, 2 are 3 away and 3 are 4 away
    assert scores["hausdorff"] == scores["hd95"] == 4
    assert scores["assd"] == pytest.approx((3 * 2 + 2 * 3 + 3 * 4) / 8)
    assert scores["nsd"] == 3 / 8


def test_pixels_at_the_edge_of_the_image_are_border() -> None:
    full, middle = np.ones((5, 5), bool), np.zeros((5, 5), bool)
    middle[2, 2] = True
    scores = case_scores(full, middle)
    assert scores["hausdorff"] == pytest.approx(math.hypot(2, 2))
    # 4 of the 16 edge pixels are 2 away, and the middle is 2 from the edge
    assert scores["nsd"] == (4 + 1) / 17


def test_the_tolerance_of_nsd_is_an_option() -> None:
    pair = square(5, 5, 3), square(5, 9, 3)
    for tolerance, share in ((0, 0.0), (2, 3 / 8), (3, 5 / 8), (4, 1.0)):
        assert case_scores(*pair, options={"nsd": {"tolerance": tolerance}})["nsd"] == share
    assert METRICS.check("nsd", {}) == {"tolerance": 2.0} and METRICS.check("hd95", {}) == {}


def test_a_tolerance_in_mm_is_not_missed_by_rounding() -> None:
    # 3 pixels of 0.1 mm are 0.30000000000000004 mm
    pair = square(5, 5, 1), square(5, 8, 1)
    assert case_scores(*pair, spacing=(0.1, 0.1), options={"nsd": {"tolerance": 0.3}})["nsd"] == 1.0


def test_empty_masks() -> None:
    lesion, nothing = square(5, 5, 3), np.zeros((20, 30), bool)
    missed = case_scores(nothing, lesion)
    assert [missed[name] for name in DISTANCES] == [math.hypot(20, 30)] * 3 and missed["nsd"] == 0.0
    in_mm = case_scores(nothing, lesion, spacing=(0.5, 2.0))
    assert [in_mm[name] for name in DISTANCES] == [math.hypot(10, 60)] * 3
    for drawn in (lesion, nothing):
        assert all(math.isnan(value) for value in boundary(case_scores(drawn, nothing)).values())


def test_spacing_turns_pixels_into_mm() -> None:
    pair = blobs(1)
    pixels, half = case_scores(*pair), case_scores(*pair, spacing=(0.5, 0.5), options={"nsd": {"tolerance": 1.0}})
    assert [half[name] for name in DISTANCES] == pytest.approx([pixels[name] / 2 for name in DISTANCES])
    assert half["nsd"] == pixels["nsd"] and half["dice"] == pixels["dice"]


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, -1.0), (math.inf, 1.0), (math.nan, 1.0)])
def test_impossible_spacing_is_refused(spacing: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="spacing"):
        case_scores(square(1, 1, 2), square(1, 1, 2), spacing=spacing)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(1.0, 1.0), (0.3, 0.3), (0.4, 1.1), (2.0, 0.5)]))
def test_agrees_with_all_pairs_of_border_pixels(seed: int, spacing: tuple[float, float]) -> None:
    pair = blobs(seed)
    expected = by_all_pairs(*pair, spacing)
    assert boundary(case_scores(*pair, spacing=spacing)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_comparing_pairs_and_distance_transforms_find_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = blobs(seed, (90, 110))
    found = []
    for pairs_per_pixel in (0, 10**6):
        monkeypatch.setattr(surfaces, "PAIRS_PER_PIXEL", pairs_per_pixel)
        found.append(MaskPair.of(*pair).surfaces)
    assert found[0].of_prediction.tolist() == found[1].of_prediction.tolist()
    assert found[0].of_reference.tolist() == found[1].of_reference.tolist()


def test_squares_are_exact_up_to_the_longest_side() -> None:
    side = surfaces.EXACT_SIDE
    corners, others = np.zeros((2, side, side), bool)
    corners[0, 0] = corners[-1, -1] = True
    others[0, -1] = others[-2, 0] = True
    assert case_scores(corners, others)["hausdorff"] == math.hypot(side - 1, 0)
    assert case_scores(corners, others)["assd"] == pytest.approx((2 * (side - 2) + 2 * (side - 1)) / 4, rel=1e-4)


def test_agrees_with_monai() -> None:
    monai = pytest.importorskip("monai.metrics", reason="MONAI is no requirement of the tests: pip install monai")
    torch = pytest.importorskip("torch")
    for seed in range(8):
        pair = blobs(seed)
        given_ = [torch.from_numpy(mask[None, None]) for mask in pair]
        scores = case_scores(*pair)
        expected = {
            "hd95": monai.compute_hausdorff_distance(*given_, include_background=True, percentile=95),
            "hausdorff": monai.compute_hausdorff_distance(*given_, include_background=True),
            "assd": monai.compute_average_surface_distance(*given_, include_background=True, symmetric=True),
            "nsd": monai.compute_surface_dice(*given_, class_thresholds=[2.0], include_background=True),
        }
        assert boundary(scores) == pytest.approx({name: value.item() for name, value in expected.items()}, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 9), st.integers(0, 9))
def test_borders_are_symmetric_and_may_lie_anywhere(seed: int, down: int, right: int) -> None:
    pair = blobs(seed)
    there = boundary(case_scores(*pair))
    assert boundary(case_scores(*pair[::-1])) == pytest.approx(there)
    padded = [np.pad(mask, ((down, 9 - down), (right, 9 - right))) for mask in pair]
    assert boundary(case_scores(*padded)) == pytest.approx(there)
    assert there["assd"] <= there["hausdorff"] and there["hd95"] <= there["hausdorff"]
