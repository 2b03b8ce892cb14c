from __future__ import annotations

import csv
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from experiments.cascade.scores import Areas, Cascade, Row, cascade_dice
from utils.datasets.crops import Box
from utils.metrics import case_scores

MASK = arrays.arrays(np.bool_, st.tuples(st.integers(2, 12), st.integers(2, 12)))


@given(MASK, st.data())
def test_it_is_the_dice_of_the_mask_put_back_into_the_image(whole: np.ndarray, data: st.DataObject) -> None:
    height, width = whole.shape
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    box = Box(top, left, data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width)))
    reference = box.cut(whole)
    drawn = data.draw(arrays.arrays(np.bool_, reference.shape))
    put_back = np.zeros_like(whole)
    put_back[box.top : box.bottom, box.left : box.right] = drawn
    # As `cases.csv` has them: nine digits.
    crop, sensitivity = (float(f"{case_scores(drawn, reference)[name]:.9g}") for name in ("dice", "sensitivity"))
    areas = Areas(int(reference.sum()), int(whole.sum()))
    found = cascade_dice(crop, sensitivity, areas)
    expected = case_scores(put_back, whole)["dice"]
    assert (math.isnan(expected) and found is None) or found == pytest.approx(expected, abs=1e-12)


def row(case: str, first: float | None, crop: float | None, cascade: float | None, fold: int = 0) -> Row:
    return Row("a" * 12, fold, case, case, "benign", "0 0 8 8", True, first, crop, cascade)


def test_the_table_leaves_empty_what_is_not_defined() -> None:
    table = Cascade((row("one", 0.5, 0.75, 0.625), row("two", None, None, None), row("three", 0.0, None, 0.0)))
    first, second, third = csv.DictReader(table.to_csv().splitlines())
    assert (first["first_stage_dice"], first["crop_dice"], first["cascade_dice"]) == ("0.5", "0.75", "0.625")
    assert second["cascade_dice"] == second["crop_dice"] == "" and second["found"] == "true"
    assert (third["crop_dice"], third["cascade_dice"]) == ("", "0")


def test_the_sentence_compares_both_stages_on_the_same_cases() -> None:
    rows: list[Any] = [row("one", 0.5, 0.8, 0.6), row("two", 0.7, None, 0.0), row("three", 0.2, 0.4, 0.4, fold=1)]
    told = Cascade((*rows, row("four", None, None, None, fold=1))).sentence("a" * 12, "margin=0.1")
    # Fold means 0.3 and 0.4; 0.6 and 0.2.
    assert told == (
        "In the whole images the cascade with margin=0.1 reaches a Dice of 0.3500, its first stage alone 0.4000 "
        "(3 cases with a lesion; 1 crops hold nothing of their lesion and score 0)"
    )
    assert Cascade(()).sentence("a" * 12, "x") == ""
