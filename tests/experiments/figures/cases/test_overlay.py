from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from experiments.figures.cases.overlay import COLORS, overlay


def test_each_kind_of_pixel_has_its_colour() -> None:
    image = np.full((2, 2), 100, np.uint8)
    prediction = np.array([[True, True], [False, False]])
    truth = np.array([[True, False], [True, False]])
    painted = overlay(image, prediction, truth, opacity=0.5)
    tint = {name: np.round(50 + 127.5 * np.array(to_rgb(color))) for name, color in COLORS.items()}
    assert painted[0, 0].tolist() == tint["true positive"].tolist()
    assert painted[0, 1].tolist() == tint["false positive"].tolist()
    assert painted[1, 0].tolist() == tint["false negative"].tolist()
    assert painted[1, 1].tolist() == [100, 100, 100]


def test_opaque_paint_is_the_colour_itself() -> None:
    everywhere = np.ones((1, 1), bool)
    painted = overlay(np.full((1, 1, 3), 7, np.uint8), everywhere, everywhere, opacity=1)
    assert painted[0, 0].tolist() == [0, 0x9E, 0x73]


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        overlay(np.zeros((2, 2), np.uint8), np.zeros((2, 3), bool), np.zeros((2, 2), bool))
