"""The made dataset: its proportions, its planted copies, and the way to disk and back."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets.busi import Busi
from utils.datasets.case import DATASETS
from utils.datasets.phantom import Phantom
from utils.registry import ValidationError


@pytest.fixture(scope="module")
def dataset() -> Phantom:
    return Phantom(cases=90)


@pytest.fixture(scope="module")
def written(dataset: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset.write_busi_layout(tmp_path_factory.mktemp("phantoms"))


def test_classes_come_in_the_proportions_of_busi() -> None:
    labels = Counter(case.label for case in Phantom(cases=150).cases())
    assert labels == {"benign": 84, "malignant": 40, "normal": 26}


@pytest.mark.parametrize("cases", [1, 2, 3, 10, 47, 151])
def test_there_are_as_many_cases_as_asked_for(cases: int) -> None:
    made = Phantom(cases=cases).cases()
    assert len({case.id for case in made}) == cases
    assert [case.id for case in made] == sorted(case.id for case in made)


def test_image_and_mask_belong_together(dataset: Phantom) -> None:
    for case in dataset.cases()[::15]:
        image, mask = dataset.read_image(case), dataset.read_mask(case)
        assert image.shape == mask.shape
        assert mask.any() == (case.label in dataset.lesion_classes)


def test_what_a_reader_does_to_an_image_does_not_stick(dataset: Phantom) -> None:
    case = dataset.cases()[0]
    image = dataset.read_image(case)
    before = image.copy()
    image[:] = 0
    np.testing.assert_array_equal(dataset.read_image(case), before)


def test_seed_alone_decides() -> None:
    first, again, other = Phantom(cases=5, seed=1), Phantom(cases=5, seed=1), Phantom(cases=5, seed=2)
    for case in first.cases():
        np.testing.assert_array_equal(first.read_image(case), again.read_image(case))
        assert first.content(case) == again.content(case)
        assert first.content(case) != other.content(case)


def test_more_cases_keep_the_ones_there_were() -> None:
    few = Phantom(cases=20, near_duplicates=0)
    many = Phantom(cases=40, near_duplicates=0)
    assert {few.content(case) for case in few.cases()} < {many.content(case) for case in many.cases()}


def test_planted_copies_say_whose_copies_they_are_and_look_like_them(dataset: Phantom) -> None:
    cases = {case.id: case for case in dataset.cases()}
    copies = [case for case in cases.values() if "copy_of" in case.attributes]
    assert len(copies) == 9
    for copy in copies:
        original = cases[copy.attributes["copy_of"]]
        assert "copy_of" not in original.attributes
        assert original.label == copy.label
        assert copy.group is original.group is None
        images = [dataset.read_image(case) for case in (copy, original)]
        thumbnails = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).ravel() for image in images]
        assert np.corrcoef(thumbnails)[0, 1] > 0.95
        assert dataset.content(copy) != dataset.content(original)


def test_no_copies_where_none_are_wanted() -> None:
    assert not any(case.attributes for case in Phantom(cases=60, near_duplicates=0).cases())


def test_contents_are_unique(dataset: Phantom) -> None:
    assert len({dataset.content(case) for case in dataset.cases()}) == 90


@pytest.mark.slow
def test_round_trip_through_the_layout_of_busi(dataset: Phantom, written: Path) -> None:
    busi = Busi(written)
    assert busi.classes == dataset.classes and busi.lesion_classes == dataset.lesion_classes
    assert busi.orphan_masks() == []
    for made, read in zip(dataset.cases(), busi.cases(), strict=True):
        assert (made.id, made.label) == (read.id, read.label)
        np.testing.assert_array_equal(dataset.read_image(made), busi.read_image(read))
        np.testing.assert_array_equal(dataset.read_mask(made), busi.read_mask(read))


def test_written_layout_has_the_quirks_of_busi(written: Path) -> None:
    assert max(len(case.masks) for case in Busi(written).cases()) >= 2
    masks = [cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) for path in written.rglob("*_mask*.png")]
    assert {mask.shape[2] if mask.ndim == 3 else 1 for mask in masks} == {1, 3, 4}
    assert all((mask[..., 3] == 255).all() for mask in masks if mask.ndim == 3 and mask.shape[2] == 4)


def test_survives_the_way_to_a_worker(dataset: Phantom) -> None:
    case = dataset.cases()[3]
    there = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(there.read_image(case), dataset.read_image(case))


def test_root_is_ignored_and_options_are_checked() -> None:
    assert len(DATASETS["phantom"](Path("nowhere"), cases=4).cases()) == 4
    assert DATASETS.check("phantom", {"cases": 12})["cases"] == 12
    for wrong in ({"cases": 0}, {"near_duplicates": 0.9}, {"width": 10}, {"size": 3}):
        with pytest.raises(ValidationError):
            DATASETS.check("phantom", wrong)
