"""Instance metrics: instances drawn by hand, torchmetrics for panoptic quality, the definition for the rest."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label
from torchmetrics.functional.detection import panoptic_quality

from utils.metrics import case_scores

INSTANCE = ("pq", "sq", "rq", "aji", "aji_plus")


def drawn(picture: str) -> np.ndarray:
    return np.array([[int(mark) if mark.isdigit() else 0 for mark in line] for line in picture.split()])


def scores(prediction: np.ndarray, reference: np.ndarray, **given_: np.ndarray) -> dict[str, float]:
    every = case_scores(prediction > 0, reference > 0, **given_)
    return {name: every[name] for name in INSTANCE}


def components(mask: np.ndarray) -> np.ndarray:
    return label(mask, structure=np.ones((3, 3)))[0]


def noise(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles strewn over an image, and the same with some pixels flipped."""
    rng = np.random.default_rng(seed)
    reference = np.zeros((24, 24), bool)
    for top, left, height, width in rng.integers((0, 0, 2, 2), (20, 20, 6, 6), size=(rng.integers(1, 6), 4)):
        reference[top : top + height, left : left + width] = True
    return reference ^ (rng.random(reference.shape) < rng.choice([0.01, 0.05, 0.2])), reference


def test_one_found_one_missed_one_invented() -> None:
    prediction = drawn("1111.... 1111.... ........ ......11 ......11")
    reference = drawn("111..... 111..... ........ 22...... 22......")
    # IoU 6/8 of the only match; 1 FP, 1 FN
    expected = {"sq": 6 / 8, "rq": 1 / 2, "pq": 3 / 8, "aji": 6 / (8 + 4 + 4), "aji_plus": 6 / (8 + 4 + 4)}
    assert scores(prediction, reference) == pytest.approx(expected)


def test_half_an_overlap_is_no_match() -> None:
    found = scores(drawn("1111"), drawn("11.."))
    assert (found["pq"], found["sq"], found["rq"]) == (0, 0, 0) and found["aji"] == found["aji_plus"] == 1 / 2


def test_a_drawing_over_two_lesions_counts_once_in_aji_plus() -> None:
    prediction = drawn("1111111")
    reference = drawn("1111.22")
    # aji: both take the one drawing: (4 + 2) / (7 + 7); aji_plus: the larger does, the other stands alone
    found = scores(prediction, reference)
    assert found["aji"] == pytest.approx(6 / 14) and found["aji_plus"] == pytest.approx(4 / (7 + 2))
    assert found["pq"] == pytest.approx(4 / 7 / 1.5)


def test_aji_plus_takes_the_greatest_sum_and_not_the_greatest_first() -> None:
    # three lesions in a row, labelled; the drawings are components: A over 1 and 2, B over 2 and 3
    reference = drawn("111222222333")
    prediction = drawn("111111.11111")
    # IoU: A1 3/6, A2 3/9, B2 2/9, B3 3/5
    found = scores(prediction, reference, instances=reference)
    assert found["aji_plus"] == pytest.approx((3 + 3) / (6 + 5 + 6))
    # aji: lesion 2 takes A as well
    assert found["aji"] == pytest.approx((3 + 3 + 3) / (6 + 9 + 5))


def test_pixels_that_touch_at_a_corner_are_one_instance() -> None:
    stairs = drawn("1.. .1. ..1")
    assert scores(stairs, stairs)["rq"] == 1.0
    assert scores(stairs, stairs, instances=drawn("1.. .2. ..3"))["rq"] == 0.0


def test_labels_may_be_any_positive_numbers() -> None:
    reference = drawn("11.22 11.22 ..... 333..")
    prediction = drawn("11.2. 11.22 ..... .33..")
    renamed = np.array([0, 7, 1000, 3])[reference]
    assert scores(prediction, reference, instances=renamed) == scores(prediction, reference, instances=reference)
    assert scores(prediction, reference, instances=reference) == pytest.approx(scores(prediction, reference))


def test_instances_must_cover_the_reference() -> None:
    with pytest.raises(ValueError, match="cover"):
        scores(drawn("11."), drawn("11."), instances=drawn("1.."))


def test_empty_masks() -> None:
    lesion, nothing = drawn("11."), drawn("...")
    assert set(scores(nothing, lesion).values()) == {0.0}
    assert all(math.isnan(value) for value in scores(lesion, nothing).values())
    assert all(math.isnan(value) for value in scores(nothing, nothing).values())


@pytest.mark.parametrize("seed", range(10))
def test_agrees_with_the_panoptic_quality_of_torchmetrics(seed: int) -> None:
    prediction, reference = noise(seed)
    # (category, instance) of each pixel; category 0 is the background, left out of the answer
    pixels = [
        torch.from_numpy(np.stack([(numbers > 0).astype(int), numbers], axis=-1))[None]
        for numbers in (components(prediction), components(reference))
    ]
    theirs = panoptic_quality(*pixels, things={1}, stuffs={0}, return_sq_and_rq=True, return_per_class=True)
    ours = scores(prediction, reference)
    assert [ours["pq"], ours["sq"], ours["rq"]] == pytest.approx(theirs[0].tolist(), abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_agrees_with_the_published_algorithms_step_by_step(seed: int) -> None:
    prediction, reference = noise(seed)
    numbers = components(prediction), components(reference)
    drawings, lesions = ([each == number for number in range(1, each.max() + 1)] for each in numbers)
    iou = np.array([[(one & other).sum() / (one | other).sum() for one in drawings] for other in lesions])
    found = scores(prediction, reference)

    shared = united = 0
    used = set()
    for row, lesion in enumerate(lesions):
        best = int(iou[row].argmax()) if len(drawings) else 0
        if not len(drawings) or iou[row, best] == 0:
            united += lesion.sum()
            continue
        shared += (lesion & drawings[best]).sum()
        united += (lesion | drawings[best]).sum()
        used.add(best)
    united += sum(drawing.sum() for column, drawing in enumerate(drawings) if column not in used)
    assert found["aji"] == pytest.approx(shared / united)

    matches = (iou > 0.5).sum()
    assert found["pq"] == pytest.approx(iou[iou > 0.5].sum() / ((len(drawings) + len(lesions)) / 2), abs=1e-12)
    assert found["rq"] == pytest.approx(matches / ((len(drawings) + len(lesions)) / 2))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_no_other_choice_of_pairs_has_a_greater_sum_of_iou(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = np.repeat(rng.integers(1, 4, 12), 2)[None]
    prediction = rng.random(reference.shape) < 0.8
    numbers = components(prediction)
    drawings = [numbers == number for number in range(1, numbers.max() + 1)]
    lesions = [reference == number for number in np.unique(reference)]
    slots = [*range(len(drawings)), *[None] * len(lesions)]
    best: tuple[float, set[float]] = (-1.0, set())
    for choice in set(itertools.permutations(slots, len(lesions))) if len(slots) <= 8 else ():
        pairs = [(lesion, drawings[slot]) for lesion, slot in zip(lesions, choice, strict=True) if slot is not None]
        pairs = [(one, other) for one, other in pairs if (one & other).any()]
        total = round(sum((one & other).sum() / (one | other).sum() for one, other in pairs), 12)
        shared = sum((one & other).sum() for one, other in pairs)
        alone = reference.size + prediction.sum() - sum(one.sum() + other.sum() for one, other in pairs)
        value = float(shared / (sum((one | other).sum() for one, other in pairs) + alone))
        # Several choices may be equally good, and any of them will do.
        best = max(best, (total, set()), key=lambda entry: entry[0])
        if best[0] == total:
            best[1].add(round(value, 12))
    if best[0] >= 0:
        assert round(scores(prediction, reference, instances=reference)["aji_plus"], 12) in best[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 5))
def test_properties(seed: int, margin: int) -> None:
    prediction, reference = noise(seed)
    there = scores(prediction, reference)
    assert there["pq"] == pytest.approx(there["sq"] * there["rq"])
    assert there["aji"] <= case_scores(prediction, reference)["iou"] + 1e-12
    back = scores(reference, prediction)
    if prediction.any():
        assert [back[name] for name in ("pq", "sq", "rq", "aji_plus")] == pytest.approx(
            [there[name] for name in ("pq", "sq", "rq", "aji_plus")]
        )
    padded = scores(np.pad(prediction, (margin, 1)), np.pad(reference, (margin, 1)))
    assert padded == pytest.approx(there)
