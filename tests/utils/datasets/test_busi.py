"""BUSI's layout: what is a case, what is a mask, what is neither, and what a wrong root says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets.busi import Busi
from utils.datasets.case import DATASETS
from utils.errors import UserError

BUSI_MINI = Path(__file__).resolve().parents[3].parent / "shared/data/busi_mini"


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


def square(top: int, left: int, size: int = 3) -> np.ndarray:
    mask = np.zeros((20, 24), np.uint8)
    mask[top : top + size, left : left + size] = 255
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).integers(0, 255, (20, 24), np.uint8)
    for name in ("benign/benign (1)", "benign/benign (2)", "malignant/malignant (1)", "normal/normal (1)"):
        write(tmp_path / f"{name}.png", image)
    write(tmp_path / "benign/benign (1)_mask.png", square(1, 1))
    write(tmp_path / "benign/benign (1)_mask_1.png", square(10, 10))
    write(tmp_path / "benign/benign (1)_mask_2.png", square(2, 2))
    write(tmp_path / "malignant/malignant (1)_mask.png", square(5, 5))
    write(tmp_path / "normal/normal (1)_mask.png", square(0, 0, 0))
    return tmp_path


def test_cases_are_sorted_and_own_all_their_masks(root: Path) -> None:
    cases = Busi(root).cases()
    assert [case.id for case in cases] == [
        "benign/benign (1)",
        "benign/benign (2)",
        "malignant/malignant (1)",
        "normal/normal (1)",
    ]
    assert [len(case.masks) for case in cases] == [3, 0, 1, 1]
    assert [case.label for case in cases] == ["benign", "benign", "malignant", "normal"]
    assert all(case.group is None for case in cases)


def test_several_masks_are_merged_by_or(root: Path) -> None:
    dataset = Busi(root)
    expected = (square(1, 1) | square(10, 10) | square(2, 2)) // 255
    np.testing.assert_array_equal(dataset.read_mask(dataset.cases()[0]), expected)


def test_masks_of_one_three_and_four_channels_merge(root: Path) -> None:
    write(root / "benign/benign (1)_mask_1.png", cv2.cvtColor(square(10, 10), cv2.COLOR_GRAY2BGR))
    write(root / "benign/benign (1)_mask_2.png", cv2.cvtColor(square(2, 2), cv2.COLOR_GRAY2BGRA))
    dataset = Busi(root)
    expected = (square(1, 1) | square(10, 10) | square(2, 2)) // 255
    np.testing.assert_array_equal(dataset.read_mask(dataset.cases()[0]), expected)


def test_case_without_a_mask_is_a_case_whose_mask_cannot_be_read(root: Path) -> None:
    dataset = Busi(root)
    case = dataset.cases()[1]
    assert dataset.read_image(case).shape == (20, 24)
    with pytest.raises(FileNotFoundError, match=r"benign \(2\)_mask\.png"):
        dataset.read_mask(case)


def test_masks_of_different_sizes_name_their_case(root: Path) -> None:
    write(root / "benign/benign (1)_mask_1.png", np.zeros((5, 5), np.uint8))
    dataset = Busi(root)
    with pytest.raises(ValueError, match=r"benign/benign \(1\): masks of one case differ in size: 5 x 5, 20 x 24"):
        dataset.read_mask(dataset.cases()[0])


def test_stray_files_are_no_cases_and_masks_without_image_are_orphans(root: Path) -> None:
    before = Busi(root).cases()
    (root / "benign/Thumbs.db").write_bytes(b"\0")
    (root / "benign/README").write_text("no extension")
    (root / "benign/._benign (1).png").write_bytes(b"a resource fork")
    (root / "normal/folder.png").mkdir()
    orphan = write(root / "malignant/malignant (9)_mask.png", square(0, 0))
    assert Busi(root).cases() == before
    assert Busi(root).orphan_masks() == [orphan]


def test_unreadable_image_is_an_oserror_not_a_missing_case(root: Path) -> None:
    (root / "malignant/malignant (1).png").write_bytes(b"cut off")
    dataset = Busi(root)
    with pytest.raises(OSError, match=r"malignant \(1\)\.png"):
        dataset.read_image(dataset.cases()[2])


def test_root_may_be_the_folder_above(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    above = tmp_path_factory.mktemp("above")
    (above / ".cache").mkdir()
    root.rename(above / "Dataset_BUSI_with_GT")
    assert len(Busi(above).cases()) == 4


def test_content_follows_bytes_label_and_masks(root: Path) -> None:
    dataset = Busi(root)
    first, second, *_ = dataset.cases()
    before = dataset.content(first)
    assert before == Busi(root).content(Busi(root).cases()[0])
    assert before != dataset.content(second)
    write(root / "benign/benign (1)_mask_2.png", square(3, 3))
    assert dataset.content(first) != before


def test_content_does_not_depend_on_where_the_data_lie(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = [Busi(root).content(case) for case in Busi(root).cases()]
    elsewhere = root.rename(tmp_path_factory.mktemp("elsewhere") / "data")
    assert [Busi(elsewhere).content(case) for case in Busi(elsewhere).cases()] == before


@pytest.mark.parametrize("kind", ["none", "missing", "file", "other layout", "empty"])
def test_wrong_root_is_one_problem_that_says_what_to_do(tmp_path: Path, kind: str) -> None:
    root: Path | None = tmp_path / "data"
    if kind == "none":
        root = None
    elif kind == "file":
        root.write_text("")
    elif kind == "other layout":
        (root / "benign").mkdir(parents=True)
    elif kind == "empty":
        for label in Busi.classes:
            (root / label).mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        Busi(root).cases()
    assert len(caught.value.problems) == 1
    text = str(caught.value)
    for hint in ("dataset.root", "benign/", "<name>_mask.png", Busi.kaggle_handle, "--download", "--demo"):
        assert hint in text
    assert root is None or str(root) in text
    if kind == "other layout":
        assert "no malignant/, normal/" in text


def test_two_images_of_one_name_are_refused(root: Path) -> None:
    write(root / "benign/benign (1).PNG", square(0, 0))
    if len(list((root / "benign").glob("benign (1).*"))) == 1:
        pytest.skip("this file system does not tell upper from lower case")
    with pytest.raises(UserError, match=r"the same name"):
        Busi(root).cases()


def test_is_registered_and_leaves_nothing_out_of_itself() -> None:
    assert DATASETS["busi"] is Busi
    assert DATASETS.check("busi", {}) == {"curation": None}


@pytest.mark.skipif(not BUSI_MINI.is_dir(), reason="needs the sample of the real dataset")
def test_real_sample() -> None:
    dataset = Busi(BUSI_MINI)
    cases = dataset.cases()
    assert Counter(case.label for case in cases) == {"benign": 135, "malignant": 65, "normal": 40}
    assert dataset.orphan_masks() == []
    several = [case for case in cases if len(case.masks) > 1]
    assert several
    for case in [*several, *cases[::24]]:
        image, mask = dataset.read_image(case), dataset.read_mask(case)
        assert image.shape[:2] == mask.shape
        assert mask.any() == (case.label in dataset.lesion_classes)
