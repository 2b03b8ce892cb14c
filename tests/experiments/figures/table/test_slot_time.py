from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from experiments.accounting.balance import LABELS, Balance
from experiments.figures.style import styled
from experiments.figures.table.slot_time import COLORS, slot_time


def test_every_phase_has_a_colour_of_its_own() -> None:
    assert set(COLORS) == set(LABELS) and len(set(COLORS.values())) == len(COLORS)


def test_the_bar_is_all_the_slot_time_and_names_what_takes_any(bench: Any, tmp_path: Path) -> None:
    balance = Balance((2,), {"training": 5_400.0, "data": 0.0, "writing": 100.0, "idle": 1_700.0}, saved=3_600.0)
    with styled("slot_time"):
        chart = slot_time(bench.sweep({"a1": 0.8}, balance=balance))
        [axes] = chart.canvas.axes
        widths = [patch.get_width() for patch in axes.patches]
        figure = chart.save(tmp_path)
    assert widths == pytest.approx([1.5, 100 / 3600, 1700 / 3600]) and axes.get_xlim() == (0, pytest.approx(2.0))
    texts = ElementTree.parse(figure.svg).getroot().iter("{http://www.w3.org/2000/svg}text")
    words = ["".join(text.itertext()) for text in texts]
    assert {"training", "writing", "idle", "75%", "24%"} <= set(words), "narrow parts have no number"
    assert "data" not in words and "1%" not in words
    assert "an estimated 60 min more" in figure.caption
