"""A cascade on whole images: the crop lies where the first stage says, and what is drawn in it is put back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from experiments.prediction import Ensemble, Inference, Member
from experiments.prediction.cascaded import CascadedEnsemble, notes_on
from experiments.prediction.preparation import Preparation
from models.network import Output
from utils.datasets.crops import Crops

SIDE = 64
CPU = torch.device("cpu")


class Above(nn.Module):
    """Draws what is brighter than a level, and calls bright images one thing, dark ones another."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, images: torch.Tensor) -> Output:
        grey = images.mean(dim=1, keepdim=True)
        brightness = grey.mean(dim=(1, 2, 3))
        return Output((grey - self.level) * 200, torch.stack([brightness, 1 - brightness], dim=1))


def ensemble_of(*levels: float, side: int = SIDE) -> Ensemble:
    preparation = Preparation("[]", (side, side))
    members = tuple(Member(str(level), str(level), Above(level), preparation) for level in levels)  # type: ignore[arg-type]
    return Ensemble(members, ("bright", "dark"), CPU)


def cascade(first: float, *second: float, **cut: Any) -> CascadedEnsemble:
    made = ensemble_of(*second)
    return CascadedEnsemble(made.members, made.classes, CPU, ensemble_of(first), Crops(None, **cut))


def picture(*boxes: tuple[slice, slice, int]) -> np.ndarray:
    image = np.full((SIDE, SIDE), 20, np.uint8)
    for rows, columns, grey in boxes:
        image[rows, columns] = grey
    return image


# The first stage finds the bright square in the middle of the grey one, the second draws what is grey.
NESTED = picture((slice(8, 56), slice(8, 56), 120), (slice(24, 40), slice(24, 40), 250))


@pytest.mark.parametrize(("margin", "low", "high"), [(0.0, 24, 40), (0.25, 20, 44), (5.0, 0, 64)])
def test_only_the_crop_is_seen_and_drawn(margin: float, low: int, high: int) -> None:
    found = cascade(0.8, 0.3, margin=margin, least=8).predict(NESTED)
    assert found.probability.shape == (SIDE, SIDE) and found.probability.dtype == np.float32
    drawn = found.probability > 0.5
    expected = np.zeros_like(drawn)
    expected[low:high, low:high] = NESTED[low:high, low:high] > 0.3 * 255
    # A crop is enlarged for the network and made smaller again: its pixels at edges lie between two.
    assert (drawn != expected).mean() < 0.02
    outside = np.ones_like(drawn)
    outside[low:high, low:high] = False
    assert not found.probability[outside].any() and not found.disagreement[outside].any()


def test_the_diagnosis_is_of_the_crop() -> None:
    whole, cut = ensemble_of(0.3).predict(NESTED), cascade(0.8, 0.3, margin=0.0, least=8).predict(NESTED)
    assert cut.classes[0] > whole.classes[0] + 0.1, "the crop is all bright"


def test_where_nothing_is_found_the_whole_image_is_seen() -> None:
    alone, found = ensemble_of(0.3).predict(NESTED), cascade(0.999, 0.3).predict(NESTED)
    assert np.array_equal(found.probability, alone.probability) and np.array_equal(found.classes, alone.classes)


def test_the_largest_part_or_all() -> None:
    two = picture((slice(4, 24), slice(4, 24), 250), (slice(50, 58), slice(50, 58), 250))
    largest = cascade(0.8, 0.5, around="largest", margin=0.0, least=8).predict(two).probability > 0.5
    both = cascade(0.8, 0.5, around="all", margin=0.0, least=8).predict(two).probability > 0.5
    assert largest[4:24, 4:24].all() and not largest[40:].any()
    assert both[4:24, 4:24].mean() > 0.9 and both[51:57, 51:57].all()


def test_a_batch_and_disagreement_and_three_channels() -> None:
    made = cascade(0.8, 0.3, 0.6, margin=0.25, least=8)
    dark = picture()
    batch = [NESTED, dark, np.repeat(NESTED[..., None], 3, axis=2)]
    found = list(made.predict_all(batch, Inference()))
    for image, each in zip(batch, found, strict=True):
        single = made.predict(image)
        assert each.probability == pytest.approx(single.probability, abs=1e-5)
    assert found[0].disagreement[21:24, 21:24].max() > 0.3, "120 lies between the two levels"


def test_another_first_stage_is_another_identity() -> None:
    made = cascade(0.8, 0.3)
    others = (cascade(0.7, 0.3), cascade(0.8, 0.4), cascade(0.8, 0.3, margin=0.2), ensemble_of(0.3))
    assert len({made.identity, *(other.identity for other in others)}) == 5
    assert cascade(0.8, 0.3).identity == made.identity


def test_it_is_told_who_finds_the_crops() -> None:
    assert notes_on(ensemble_of(0.3)) == []
    [note] = notes_on(cascade(0.8, 0.3))
    assert "1 networks of the first stage" in note
