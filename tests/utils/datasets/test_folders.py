"""Images and masks in folders: which mask is whose, which part, and what the options refuse."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets.folders import Folders
from utils.errors import UserError
from utils.splits.audit import audit


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


IMAGE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
MASK = np.zeros((20, 24), np.uint8)
MASK[3:6, 4:9] = 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("train/images/P1_001.jpg", "train/images/P2_002.png", "test/images/P1_003.jpg"):
        write(tmp_path / name, IMAGE)
    write(tmp_path / "train/masks/P1_001_segmentation.png", MASK)
    write(tmp_path / "train/masks/P2_002_segmentation.png", 255 * MASK)
    write(tmp_path / "test/masks/P1_003_segmentation.png", 255 * MASK)
    return tmp_path


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        Folders(root, **options).cases()  # type: ignore[arg-type]
    return str(caught.value)


def test_masks_are_found_by_the_names_of_their_images_whatever_their_white_is(root: Path) -> None:
    dataset = Folders(root)
    assert [case.id for case in dataset.cases()] == ["test/P1_003", "train/P1_001", "train/P2_002"]
    assert [case.attributes["split"] for case in dataset.cases()] == ["test", "train", "train"]
    for case in dataset.cases():
        np.testing.assert_array_equal(dataset.read_mask(case), MASK)


def test_an_image_without_a_mask_is_a_case_that_the_audit_names(root: Path) -> None:
    write(root / "train/images/P3_009.png", IMAGE[::-1])
    write(root / "train/masks/P4_010_segmentation.png", MASK)
    dataset = Folders(root)
    found = {(finding.kind, finding.cases, Path(finding.file).name) for finding in audit(dataset, workers=1).findings}
    assert ("missing_mask", ("train/P3_009",), "P3_009.png") in found
    assert ("orphan_mask", (), "P4_010_segmentation.png") in found
    with pytest.raises(FileNotFoundError, match=r"train/masks/P3_009_segmentation\.png"):
        dataset.read_mask(dataset.cases()[-1])


def test_another_pattern_another_mask(root: Path) -> None:
    write(root / "train/masks/m-P1_001.png", 1 - MASK)
    dataset = Folders(root, mask="m-{name}", parts=("train",))
    np.testing.assert_array_equal(dataset.read_mask(dataset.cases()[0]), 1 - MASK)


def test_the_patient_in_a_name_is_the_group_in_all_parts(root: Path) -> None:
    groups = {case.id: case.group for case in Folders(root, group="^(P[0-9]+)_").cases()}
    assert groups == {"test/P1_003": "P1", "train/P1_001": "P1", "train/P2_002": "P2"}


def test_one_pair_of_folders_has_no_parts(root: Path) -> None:
    cases = Folders(root / "train").cases()
    assert [(case.id, dict(case.attributes)) for case in cases] == [("P1_001", {}), ("P2_002", {})]


def test_an_empty_mask_is_a_fault_unless_it_is_expected(root: Path) -> None:
    write(root / "train/masks/P1_001_segmentation.png", 0 * MASK)
    assert [error.kind for error in audit(Folders(root), workers=1).errors] == ["empty_lesion_mask"]
    assert audit(Folders(root, empty_masks=True), workers=1).errors == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mask": "segmentation"}, "dataset.options.mask: must hold {name} once"),
        ({"mask": "{name}_nothing"}, "not a single image has a mask, such as P1_003_nothing.png"),
        ({"group": "("}, "dataset.options.group: no regular expression"),
        ({"group": "P[0-9]"}, "dataset.options.group: has no group in parentheses"),
        ({"group": "(X[0-9])"}, "dataset.options.group: does not match the name 'P1_00"),
        ({"group": "^(Q*)"}, "dataset.options.group: finds nothing in the name"),
        ({"parts": ("tain",)}, "no such part; got 'tain'; did you mean 'train'? Valid: test, train."),
    ],
)
def test_options_that_do_not_fit_are_told(root: Path, options: dict[str, object], says: str) -> None:
    assert says in refusal(root, **options)


def test_folders_that_are_not_all_there_are_told(root: Path) -> None:
    (root / "test" / "masks").rename(root / "elsewhere")
    assert "no masks/ beside images/ in test/" in refusal(root)
    (root / "test" / "images").rename(root / "test" / "pictures")
    (root / "train" / "images").rename(root / "train" / "pictures")
    assert "not laid out in folders: no images/, nor a folder that holds one" in refusal(root)


def test_two_images_of_one_name_are_refused(root: Path) -> None:
    write(root / "train/images/P1_001.png", IMAGE)
    assert "the same name as P1_001.jpg" in refusal(root)
