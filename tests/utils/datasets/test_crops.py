from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.datasets import Case
from utils.datasets.case import CROP
from utils.datasets.crops import Box, Crops, _widened
from utils.datasets.phantom import Phantom
from utils.errors import UserError
from utils.splits.audit import audit

PHANTOMS = {"cases": 12, "height": 64, "width": 80, "near_duplicates": 0.0}
BENIGN, MALIGNANT, NORMAL = "benign/benign (1)", "malignant/malignant (1)", "normal/normal (1)"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes what a first stage has found in phantoms: case -> its box as text; returns the folder."""

    def write(boxes: dict[str, str], size: tuple[int, int] | None = None, **dataset: Any) -> Path:
        phantom = Phantom(**PHANTOMS)
        cases = {case.id: case for case in phantom.cases()}
        with (tmp_path / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["case", "group", "height", "width", "all", "largest", "fold"])
            for id, box in boxes.items():
                height, width = size or phantom.read_image(cases[id]).shape
                writer.writerow([id, f"group of {id}", height, width, box, box, 0])
        told = {"name": "phantom", "root": None, "options": PHANTOMS, **dataset}
        (tmp_path / "dataset.json").write_text(json.dumps(told), encoding="utf-8")
        return tmp_path

    return write


def case_of(crops: Crops, id: str) -> Case:
    return next(case for case in crops.cases() if case.id == id)


def test_a_case_is_cut_to_its_box_with_a_margin(write: Write) -> None:
    crops = Crops(write({BENIGN: "20 30 40 50"}), margin=0.1, least=8)
    case, phantom = case_of(crops, BENIGN), Phantom(**PHANTOMS)
    assert crops.box(case) == Box(18, 28, 42, 52)
    assert case.group == f"group of {BENIGN}"
    assert case.attributes[CROP] == "18 28 42 52"
    assert np.array_equal(crops.read_image(case), phantom.read_image(case)[18:42, 28:52])
    assert np.array_equal(crops.read_mask(case), phantom.read_mask(case)[18:42, 28:52])
    assert np.array_equal(crops.read_whole_mask(case), phantom.read_mask(case))
    assert np.array_equal(crops.read_instances(case) > 0, crops.read_mask(case) > 0)


def test_where_nothing_was_found_the_image_is_whole(write: Write) -> None:
    crops = Crops(write({BENIGN: "", NORMAL: "10 10 30 30"}))
    case = case_of(crops, BENIGN)
    assert not crops.found(case) and case.attributes[CROP] == "whole"
    assert np.array_equal(crops.read_image(case), Phantom(**PHANTOMS).read_image(case))
    assert crops.found(case_of(crops, NORMAL))
    # Cases without a row are not there: nothing is known of them.
    assert [case.id for case in crops.cases()] == [BENIGN, NORMAL]


def test_a_crop_that_misses_its_lesion_is_a_warning_and_not_an_error(write: Write) -> None:
    report = audit(Crops(write({BENIGN: "0 0 8 8", MALIGNANT: ""}), least=8, margin=0), workers=1)
    assert report.errors == ()
    assert {(each.kind, each.cases) for each in report.findings if "crop" in each.kind} == {
        ("lesion_outside_crop", (BENIGN,))
    }


def test_the_content_is_of_the_case_and_of_its_box(write: Write) -> None:
    folder = write({BENIGN: "20 30 40 50"})
    contents = set()
    for options in ({}, {"margin": 0.5}, {"least": 64}):
        crops = Crops(folder, **options)
        contents.add(crops.content(case_of(crops, BENIGN)))
    assert len(contents) == 3
    crops = Crops(folder, margin=0.1)
    assert crops.content(case_of(crops, BENIGN)) in contents
    other = Crops(write({BENIGN: "20 30 41 50"}))
    assert other.content(case_of(other, BENIGN)) not in contents


def test_the_images_may_be_those_of_another_dataset(write: Write) -> None:
    folder = write({BENIGN: "20 30 40 50"}, size=(64, 80))
    of = {"name": "phantom", "options": {**PHANTOMS, "seed": 8}}
    crops = Crops(folder, of=of)
    case = case_of(crops, BENIGN)
    with pytest.raises(ValueError, match="but the image whose box was found has 80x64 pixels"):
        crops.read_image(case)
    assert crops.read_whole_mask(case).shape != (64, 80)


@pytest.mark.parametrize(
    ("boxes", "dataset", "words"),
    [
        ({BENIGN: "20 30 400 50"}, {}, "no box in an image of this size; got '20 30 400 50'"),
        ({BENIGN: "40 30 20 50"}, {}, "no box in an image"),
        ({BENIGN: "a b c d"}, {}, "no box in an image"),
        ({BENIGN: "1 2 3"}, {}, "no box in an image"),
        ({BENIGN: ""}, {"name": "phantoms"}, "dataset.json names no dataset"),
        ({BENIGN: ""}, {"path": "x"}, "dataset.json cannot be read"),
        ({MALIGNANT: ""}, {"options": {**PHANTOMS, "cases": 1}}, "none of the cases in boxes.csv is in the dataset"),
    ],
)
def test_what_is_wrong_with_the_folder_is_said(
    write: Write, boxes: dict[str, str], dataset: dict[str, Any], words: str
) -> None:
    folder = write(boxes, **dataset)
    with pytest.raises(UserError) as raised:
        Crops(folder).cases()
    assert words in str(raised.value)


@pytest.mark.parametrize("missing", ["boxes.csv", "dataset.json"])
def test_a_folder_without_predictions_says_what_is_expected(write: Write, missing: str) -> None:
    folder = write({BENIGN: ""})
    (folder / missing).unlink()
    with pytest.raises(UserError, match=rf"no {missing} in it. Expected: .*\$\{{predictions:<sweep>\}}"):
        Crops(folder).cases()
    with pytest.raises(UserError, match="needs a folder"):
        Crops(None).cases()


@given(st.integers(8, 200), st.integers(0, 190), st.integers(1, 200), st.integers(8, 64), st.integers(0, 50))
def test_a_widened_interval_holds_what_it_held_and_is_large_enough(
    end: int, low: int, length: int, least: int, margin: int
) -> None:
    low = min(low, end - 1)
    high = min(low + length, end)
    first, last = _widened(low - margin, high + margin, least, end)
    assert 0 <= first <= low and high <= last <= end
    assert last - first >= min(least, end)
