"""What a view looks like, and that networks are asked once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from experiments.prediction import Prediction
from experiments.prediction.images.drawing import LESION, TRUTH
from experiments.viewer import Desk, Seen, View, rendered
from experiments.viewer.desk import KEPT, Recent

VIEW = View.of(1, clip_limit=0)


def seen() -> Seen:
    """A grey image, lesion predicted in its left half at 0.6 and in the quarter at 0.9, true in the upper half."""
    probability = np.zeros((80, 80), np.float32)
    probability[:, :40], probability[:40, :40] = 0.6, 0.9
    truth = np.zeros((80, 80), bool)
    truth[:40] = True
    prediction = Prediction(probability, np.zeros_like(probability), np.array([0.25, 0.75]), 0.0)
    return Seen("x.png", np.full((80, 80), 100, np.uint8), truth, prediction)


def drawn(view: View, what: Seen | None = None) -> np.ndarray:
    return rendered(view, what or seen(), ("benign", "malignant"), 80)[:80, :80]


def colored(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((picture == color).all(axis=2).sum())


def test_what_is_above_the_threshold_is_tinted_by_the_opacity() -> None:
    picture = drawn(VIEW)
    mixed = np.round(0.65 * 100 + 0.35 * np.array(LESION)).astype(np.uint8)
    assert (picture[60, 20] == mixed).all() and (picture[60, 70] == 100).all()
    higher = drawn(replace(VIEW, threshold=70))
    assert (higher[20, 20] == mixed).all() and (higher[60, 20] == 100).all()
    assert (drawn(replace(VIEW, opacity=0, truth=False)) == 100).all()
    assert (drawn(replace(VIEW, opacity=100))[60, 20] == LESION).all()


def test_the_truth_is_drawn_if_it_is_wanted_and_there() -> None:
    assert colored(drawn(VIEW), TRUTH) > 80
    assert (
        colored(drawn(replace(VIEW, truth=False)), TRUTH)
        == 0
        == colored(drawn(VIEW, replace(seen(), truth=None)), TRUTH)
    )


def test_the_contrast_of_what_is_seen_is_that_of_what_the_networks_see() -> None:
    image = np.random.default_rng(0).integers(90, 110, (80, 80), np.uint8)
    plain, strong = (
        drawn(replace(VIEW, opacity=0, truth=False, clahe=on), replace(seen(), image=image)) for on in (0, 1)
    )
    assert (plain[..., 0] == image).all() and strong.std() > 1.5 * plain.std()


def test_what_is_still_computed_and_what_failed_are_pages_too() -> None:
    waiting = rendered(VIEW, replace(seen(), prediction=None), ())
    failed = rendered(VIEW, Seen("x.png", error="not an image"), ())
    assert waiting.shape[1] == failed.shape[1] and waiting.std() > 1 and failed.std() > 1


def test_a_prediction_is_made_once_for_each_image_contrast_and_size(desk: Desk) -> None:
    view = desk.first()
    assert view.count == 3 and not view.clahe and not desk.is_ready(view)
    first = desk.seen(view).prediction
    assert first is not None and desk.is_ready(view)
    for same in (replace(view, threshold=80), replace(view, opacity=0), replace(view, truth=False)):
        assert desk.seen(same).prediction is first
    others = [replace(view, clahe=True), replace(view, size=512), replace(view, index=1)]
    for other in others:
        assert not desk.is_ready(other)
        assert desk.seen(other).prediction is not first
    assert desk.seen(view).prediction is first
    again = desk.ensemble.predict(desk.seen(others[0]).image, others[0].inference)  # type: ignore[arg-type]
    np.testing.assert_array_equal(desk.seen(others[0]).prediction.probability, again.probability)  # type: ignore[union-attr]


def test_only_what_was_used_last_is_kept() -> None:
    kept: Recent[int] = Recent(2)
    made: list[str] = []
    for name in ("a", "b", "a", "c", "a", "b"):
        kept.get(name, lambda name=name: made.append(name) or 1)  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"] and len(kept) == 2 < KEPT


def test_a_bad_image_says_so_and_nothing_is_saved(desk: Desk, tmp_path: Path) -> None:
    view = replace(desk.first(), index=2)
    assert "not an image" in desk.seen(view).error and desk.picture(view).ndim == 3
    assert desk.save(view, tmp_path / "out") == []


def test_what_is_saved_is_what_is_seen(desk: Desk, tmp_path: Path) -> None:
    view = replace(desk.first(), threshold=30)
    mask_file, page_file = desk.save(view, tmp_path / "out")
    mask = cv2.imread(str(mask_file), cv2.IMREAD_UNCHANGED)
    prediction = desk.seen(view).prediction
    assert prediction is not None
    np.testing.assert_array_equal(mask > 0, prediction.probability > 0.3)
    np.testing.assert_array_equal(cv2.imread(str(page_file))[..., ::-1], desk.picture(view))


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (60, 60, 3)])
def test_every_shape_of_image_is_fitted_in(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 100, np.uint8)
    probability = np.zeros(shape[:2], np.float32)
    made = replace(seen(), image=image, truth=None, prediction=replace(seen().prediction, probability=probability))
    page = rendered(VIEW, made, ("benign", "malignant"), 360)
    assert (page[: shape[0] * 360 // max(shape), : shape[1] * 360 // max(shape)] == 100).all()
