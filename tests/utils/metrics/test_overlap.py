"""Per-case metrics: masks small enough to draw by hand, torchmetrics as a second opinion, properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torchmetrics.functional import classification as torchmetrics

from utils.metrics import case_scores, mean_over_cases, mean_scores, metric_names

PAIRS = array_shapes(min_dims=2, max_dims=2, max_side=8).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)
OVERLAP = ("dice", "iou", "pixel_accuracy", "sensitivity", "specificity", "precision", "false_positive_rate")


def drawn(picture: str) -> np.ndarray:
    return np.array([[mark == "#" for mark in line.split()[0]] for line in picture.split()])


def test_counts_of_a_drawn_case() -> None:
    prediction = drawn(
        """
        ....
        .##.
        .##.
        ....
        """
    )
    reference = drawn(
        """
        ....
        ..##
        ..##
        ..##
        """
    )
    # TP 2, FP 2, FN 4, TN 8
    scores = case_scores(prediction, reference)
    assert {name: scores[name] for name in OVERLAP} == pytest.approx(
        {
            "dice": 4 / 10,
            "iou": 2 / 8,
            "pixel_accuracy": 10 / 16,
            "sensitivity": 2 / 6,
            "specificity": 8 / 10,
            "precision": 2 / 4,
            "false_positive_rate": math.nan,
        },
        nan_ok=True,
    )


def test_an_empty_prediction_of_a_lesion_scores_zero() -> None:
    scores = case_scores(drawn(".. .."), drawn("#. .."))
    assert (scores["dice"], scores["iou"], scores["sensitivity"], scores["precision"]) == (0.0, 0.0, 0.0, 0.0)
    assert scores["specificity"] == 1.0


@pytest.mark.parametrize(("picture", "share"), [(".. ..", 0.0), ("#. ..", 0.25), ("## ##", 1.0)])
def test_an_empty_reference_has_only_a_false_positive_rate(picture: str, share: float) -> None:
    scores = case_scores(drawn(picture), drawn(".. .."))
    assert all(math.isnan(scores[name]) for name in ("dice", "iou", "sensitivity", "precision"))
    assert scores["false_positive_rate"] == share
    assert scores["specificity"] == scores["pixel_accuracy"] == 1 - share


def test_a_reference_that_fills_the_image_has_no_specificity() -> None:
    assert math.isnan(case_scores(drawn("#. .."), drawn("## ##"))["specificity"])


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="share one"):
        case_scores(np.zeros((4, 4), bool), np.zeros((4, 5), bool))
    with pytest.raises(ValueError, match="share one"):
        case_scores(np.zeros((1, 4, 4), bool), np.zeros((1, 4, 4), bool))


def test_numbers_of_0_and_1_do_as_well_as_booleans() -> None:
    rng = np.random.default_rng(0)
    prediction, reference = rng.random((2, 9, 7)) > 0.5
    assert case_scores(prediction.astype(np.uint8), reference.astype(np.uint8)) == pytest.approx(
        case_scores(prediction, reference), nan_ok=True
    )


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_torchmetrics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, reference = rng.random((2, 40, 50)) > (0.2 + 0.15 * seed)
    scores = case_scores(prediction, reference)
    flat = torch.from_numpy(prediction.ravel().astype(int)), torch.from_numpy(reference.ravel().astype(int))
    assert scores["dice"] == pytest.approx(torchmetrics.binary_f1_score(*flat).item(), abs=1e-6)
    assert scores["iou"] == pytest.approx(torchmetrics.binary_jaccard_index(*flat).item(), abs=1e-6)
    assert scores["pixel_accuracy"] == pytest.approx(torchmetrics.binary_accuracy(*flat).item(), abs=1e-6)
    assert scores["sensitivity"] == pytest.approx(torchmetrics.binary_recall(*flat).item(), abs=1e-6)
    assert scores["precision"] == pytest.approx(torchmetrics.binary_precision(*flat).item(), abs=1e-6)
    assert scores["specificity"] == pytest.approx(torchmetrics.binary_specificity(*flat).item(), abs=1e-6)


@settings(deadline=None)
@given(PAIRS)
def test_overlap_is_symmetric_and_dice_follows_from_iou(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, reference = pair
    there, back = case_scores(prediction, reference), case_scores(reference, prediction)
    if prediction.any() and reference.any():
        assert there["dice"] == back["dice"] and there["iou"] == back["iou"]
        assert there["dice"] == pytest.approx(2 * there["iou"] / (1 + there["iou"]))
    assert there["pixel_accuracy"] == back["pixel_accuracy"]


@settings(deadline=None)
@given(PAIRS, st.integers(0, 7), st.integers(0, 7))
def test_moving_both_masks_changes_nothing(pair: tuple[np.ndarray, np.ndarray], down: int, right: int) -> None:
    # Even around the edge, which only counts of pixels survive.
    there, back = case_scores(*pair), case_scores(*(np.roll(mask, (down, right), axis=(0, 1)) for mask in pair))
    assert [there[name] for name in OVERLAP] == pytest.approx([back[name] for name in OVERLAP], nan_ok=True)


def test_means_leave_out_undefined_cases_only() -> None:
    assert mean_over_cases([0.0, math.nan, 1.0]) == 0.5
    assert math.isnan(mean_over_cases([math.nan]))
    assert math.isnan(mean_over_cases([]))


def test_means_of_all_metrics_over_cases() -> None:
    cases = [case_scores(drawn("#. .."), drawn("## ..")), case_scores(drawn("#. .."), drawn(".. .."))]
    means = mean_scores(cases)
    assert list(means) == list(metric_names("case"))
    assert means["dice"] == pytest.approx(2 / 3) and means["false_positive_rate"] == 0.25
    assert means["pixel_accuracy"] == pytest.approx((3 / 4 + 3 / 4) / 2)
    assert all(math.isnan(value) for value in mean_scores([]).values())
