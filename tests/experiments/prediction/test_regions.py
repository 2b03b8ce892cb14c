"""Lesions of a map: above the threshold, and not too small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.prediction.regions import regions, uncertainty

MAP = np.array(
    [
        [0.9, 0.9, 0.0, 0.0],
        [0.0, 0.0, 0.6, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.7, 0.0, 0.0, 0.5],
    ],
    np.float32,
)


def test_what_touches_at_a_corner_is_one_lesion_and_the_threshold_itself_is_background() -> None:
    found = regions(MAP, 0.5)
    assert found.areas == (3, 1) and found.pixels == 4
    assert np.array_equal(found.mask, MAP > 0.5)


def test_small_components_are_dropped() -> None:
    found = regions(MAP, 0.5, min_area=2)
    assert found.areas == (3,) and not found.mask[3, 0]
    assert regions(MAP, 0.5, min_area=4).areas == () and not regions(MAP, 0.95).mask.any()


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32)), st.integers(0, 10))
def test_a_mask_is_within_the_map_and_its_areas_are_its_pixels(probability: np.ndarray, area: int) -> None:
    found = regions(probability, 0.5, area)
    assert not (found.mask & (probability <= 0.5)).any()
    assert found.pixels == found.mask.sum() and all(each >= area for each in found.areas)


def test_uncertainty_is_the_mean_disagreement_where_it_matters() -> None:
    disagreement = np.array([[0.2, 0.0], [0.4, 0.05]], np.float32)
    assert uncertainty(disagreement, np.zeros((2, 2), bool)) == pytest.approx(0.3)
    assert uncertainty(disagreement, np.array([[False, True], [False, False]])) == pytest.approx(0.2)
    assert uncertainty(np.zeros((2, 2), np.float32), np.zeros((2, 2), bool)) == 0
