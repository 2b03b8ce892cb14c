"""Several networks answer as one: logits averaged, disagreement told, the same whatever way they are asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from experiments.prediction import Ensemble, Inference, open_ensemble, select_runs
from experiments.prediction.ensemble import CLIP_LIMITS
from models.network import foreground_of
from utils.images.phantoms import phantom


@pytest.fixture(scope="module")
def ensemble(sweep: Any) -> Ensemble:
    return open_ensemble(select_runs(sweep.results, "tiny"), torch.device("cpu"))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return phantom("benign", 5, 70, 90)[0]


def alone(ensemble: Ensemble, number: int) -> Ensemble:
    return Ensemble((ensemble.members[number],), ensemble.classes, ensemble.device)


def test_logits_are_averaged_and_the_map_has_the_images_size(ensemble: Ensemble, image: np.ndarray) -> None:
    found = ensemble.predict(image)
    assert found.probability.shape == found.disagreement.shape == image.shape
    assert found.probability.dtype == found.disagreement.dtype == np.float32
    batch = torch.from_numpy(ensemble.members[0].preparation(image)).float().div(255)[None, None]
    with torch.no_grad():
        outputs = [member.network(batch) for member in ensemble.members]
    labels = torch.stack([output.labels for output in outputs]).mean(0).softmax(1)[0]
    assert found.classes == pytest.approx(labels.double().numpy(), abs=1e-6)
    at_size = Ensemble(ensemble.members, ensemble.classes, ensemble.device).predict(image[:32, :32])
    small = torch.from_numpy(ensemble.members[0].preparation(image[:32, :32])).float().div(255)[None, None]
    with torch.no_grad():
        logits = [foreground_of(member.network(small).masks) for member in ensemble.members]
    assert at_size.probability == pytest.approx(torch.stack(logits).mean(0).sigmoid()[0, 0].numpy(), abs=1e-6)
    own = torch.stack(logits).sigmoid()[:, 0, 0].double().numpy()
    assert at_size.disagreement == pytest.approx(own.std(axis=0), abs=1e-3)


def test_a_single_network_does_not_disagree_with_itself(ensemble: Ensemble, image: np.ndarray) -> None:
    assert not alone(ensemble, 0).predict(image).disagreement.any()


def test_a_batch_answers_as_its_images_do_alone(ensemble: Ensemble, image: np.ndarray) -> None:
    colours = np.stack([image, image[::-1], image], axis=-1)
    images = [image, colours, np.ascontiguousarray(image[:, ::-1][:50])]
    for inference in (Inference(), Inference(sizes=(32, 48), flips=True), Inference(clip_limit="adaptive")):
        together = list(ensemble.predict_all(images, inference))
        for each, found in zip(images, together, strict=True):
            single = ensemble.predict(each, inference)
            assert found.probability.shape == each.shape[:2]
            assert found.probability == pytest.approx(single.probability, abs=1e-5)
            assert found.classes == pytest.approx(single.classes, abs=1e-5)
            assert found.clip_limit == single.clip_limit


def test_mixed_precision_is_near_and_not_the_default(ensemble: Ensemble, image: np.ndarray) -> None:
    exact, mixed = ensemble.predict(image), ensemble.predict(image, Inference(amp="bf16"))
    assert not np.array_equal(exact.probability, mixed.probability)
    assert mixed.probability == pytest.approx(exact.probability, abs=0.02) and mixed.probability.dtype == np.float32
    assert mixed.classes == pytest.approx(exact.classes, abs=0.02)


def test_with_flips_a_mirrored_image_gets_the_mirrored_answer(ensemble: Ensemble, image: np.ndarray) -> None:
    square = np.ascontiguousarray(image[:64, :64])
    inference = Inference(flips=True)
    found = ensemble.predict(square, inference)
    mirrored = ensemble.predict(np.ascontiguousarray(square[:, ::-1]), inference)
    assert mirrored.probability[:, ::-1] == pytest.approx(found.probability, abs=1e-5)
    assert mirrored.classes == pytest.approx(found.classes, abs=1e-5)
    assert not np.allclose(found.probability, ensemble.predict(square).probability, atol=1e-4)


def test_several_sizes_are_averaged_at_the_images_own_resolution(ensemble: Ensemble, image: np.ndarray) -> None:
    both = ensemble.predict(image, Inference(sizes=(32, 64)))
    each = [ensemble.predict(image, Inference(sizes=(side,))) for side in (32, 64)]
    assert both.probability == pytest.approx((each[0].probability + each[1].probability) / 2, abs=1e-6)
    assert both.classes == pytest.approx((each[0].classes + each[1].classes) / 2, abs=1e-6)
    own = ensemble.predict(image)
    assert each[0].probability == pytest.approx(own.probability, abs=1e-6), "32 pixels are what they were trained at"


def test_an_adaptive_clip_limit_is_the_most_confident_one(ensemble: Ensemble, image: np.ndarray) -> None:
    found = ensemble.predict(image, Inference(clip_limit="adaptive"))
    assert found.clip_limit in (0.0, *CLIP_LIMITS), "training had no CLAHE: 0 is its own"
    limit = None if found.clip_limit == 0 else found.clip_limit
    same = ensemble.predict(image, Inference(clip_limit=limit))
    assert np.array_equal(found.probability, same.probability)


def test_where_no_lesion_is_seen_the_clip_limit_of_training_stays(ensemble: Ensemble) -> None:
    from experiments.prediction.ensemble import _Asked, _most_confident, _Pass

    def asked(level: float, limit: float) -> _Asked:
        return _Asked((_Pass(np.full((2, 2, 1), level, np.float32), 1),), np.empty((1, 0)), limit)

    assert _most_confident([asked(0.4, 0), asked(0.01, 1)]).clip_limit == 0
    assert _most_confident([asked(0.6, 0), asked(0.01, 1)]).clip_limit == 1
    assert _most_confident([asked(0.9, 0), asked(0.6, 1)]).clip_limit == 0


def test_its_identity_hangs_on_its_members_and_their_preparation(ensemble: Ensemble) -> None:
    assert alone(ensemble, 0).identity != alone(ensemble, 1).identity != ensemble.identity
    assert Ensemble(ensemble.members, ensemble.classes, ensemble.device).identity == ensemble.identity


def test_the_preparation_is_that_of_training_and_can_be_changed(ensemble: Ensemble) -> None:
    own = ensemble.members[0].preparation
    assert own.size == (32, 32) and own.parts == [("median", {"size": 3})] and own.clip_limit == 0
    changed = own.with_clip_limit(3.0)
    assert changed.parts == [("median", {"size": 3}), ("clahe", {"clip_limit": 3.0, "tiles": 8})]
    assert changed.with_clip_limit(4.0).clip_limit == 4.0 and changed.with_clip_limit(0) == own
    assert own.with_side(64).size == (64, 64)
