"""CBIS-DDSM: which of the files of a series is the mask, views of several abnormalities, 16 bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets.mammography.cbis_ddsm import CbisDdsm
from utils.datasets.miniatures.files import write_dicom, write_image
from utils.errors import UserError
from utils.splits.audit import audit

HEADER = (
    "patient_id,left or right breast,image view,pathology,image file path,cropped image file path,ROI mask file path"
)
STUDY, SERIES = "1.3.6.1.4.1.9590.100.1.2.111", "1.3.6.1.4.1.9590.100.1.2.22298765"
IMAGE = np.random.default_rng(0).integers(0, 2**16, (16, 20), np.uint16)
LEFT, RIGHT = np.zeros((16, 20), np.uint8), np.zeros((16, 20), np.uint8)
LEFT[3:8, 2:6] = RIGHT[3:8, 12:16] = 255
VIEW = "Mass-Training_P_00001_LEFT_CC"


def row(view: str = VIEW, pathology: str = "BENIGN", number: int = 1, mask: int = 1) -> str:
    patient = "_".join(view.split("_")[1:3])
    files = [f"{view}_{number}/{STUDY}/{SERIES}/{file:06}.dcm" for file in (1 - mask, mask)]
    return f"{patient},LEFT,{view.split('_')[-1]},{pathology},{view}/{STUDY}/{SERIES}/000000.dcm,{files[0]},{files[1]}"


def table(root: Path, *rows: str, name: str = "mass_case_description_train_set.csv") -> CbisDdsm:
    root.mkdir(exist_ok=True)
    (root / name).write_text("\n".join([HEADER, *rows]) + "\n")
    return CbisDdsm(root)


def as_exact(root: Path, view: str, mask: np.ndarray, number: int = 1) -> None:
    """Files where the table says."""
    write_dicom(root / view / STUDY / SERIES / "000000.dcm", IMAGE)
    place = root / f"{view}_{number}" / STUDY / SERIES
    write_dicom(place / "000000.dcm", IMAGE[:7, :9])
    write_dicom(place / "000001.dcm", mask)


def test_masks_of_one_view_are_merged_and_the_gravest_label_counts(tmp_path: Path) -> None:
    as_exact(tmp_path, VIEW, LEFT)
    as_exact(tmp_path, VIEW, RIGHT, number=2)
    dataset = table(tmp_path, row(), row(pathology="MALIGNANT", number=2))
    (case,) = dataset.cases()
    assert (case.id, case.label, case.group) == ("P_00001_LEFT_CC", "malignant", "P_00001")
    assert dict(case.attributes) == {"split": "train"}
    np.testing.assert_array_equal(dataset.read_mask(case), (LEFT | RIGHT) // 255)


def test_the_mask_is_what_is_as_large_as_the_image_whatever_the_table_says(tmp_path: Path) -> None:
    as_exact(tmp_path, VIEW, LEFT)
    for mask in (0, 1):
        dataset = table(tmp_path, row(mask=mask))
        np.testing.assert_array_equal(dataset.read_mask(dataset.cases()[0]), LEFT // 255)


def test_a_png_in_place_of_a_dicom(tmp_path: Path) -> None:
    as_exact(tmp_path, VIEW, LEFT)
    for path in sorted(tmp_path.rglob("*.dcm")):
        path.unlink()
    write_image(tmp_path / VIEW / STUDY / SERIES / "000000.png", IMAGE)
    write_image(tmp_path / f"{VIEW}_1" / STUDY / SERIES / "000000.png", IMAGE[:7, :9])
    write_image(tmp_path / f"{VIEW}_1" / STUDY / SERIES / "000001.png", LEFT)
    dataset = table(tmp_path, row(mask=0))
    (case,) = dataset.cases()
    image = dataset.read_image(case)
    assert image.dtype == np.uint8 and (image.min(), image.max()) == (0, 255)
    np.testing.assert_array_equal(dataset.read_mask(case), LEFT // 255)


def test_the_folders_of_the_jpegs_on_kaggle(tmp_path: Path) -> None:
    own = SERIES + "1"
    write_image(tmp_path / "jpeg" / SERIES / "1-249.jpg", (IMAGE // 257).astype(np.uint8))
    write_image(tmp_path / "jpeg" / own / "1-036.jpg", (IMAGE[:7, :9] // 257).astype(np.uint8))
    write_image(tmp_path / "jpeg" / own / "2-036.jpg", LEFT)
    (tmp_path / "csv").mkdir()
    line = row()
    line = line.replace(f"{VIEW}_1/{STUDY}/{SERIES}", f"{VIEW}_1/{STUDY}/{own}")
    table(tmp_path / "csv", line)
    dataset = CbisDdsm(tmp_path)
    (case,) = dataset.cases()
    assert case.masks[0].name == "2-036.jpg"
    np.testing.assert_array_equal(dataset.read_mask(case), LEFT // 255)


def test_the_miniature_is_laid_out_by_the_data_retriever(miniature: Callable[[str], Path]) -> None:
    dataset = CbisDdsm(miniature("cbis_ddsm"))
    cases = dataset.cases()
    assert max(len(case.masks) for case in cases) == 2
    assert all("full mammogram images" in str(case.image) for case in cases)
    assert {case.attributes["split"] for case in cases} == {"train", "test"}
    masses = CbisDdsm(miniature("cbis_ddsm"), findings="masses").cases()
    assert 0 < len(masses) < len(cases)


def test_what_is_missing_is_named_case_by_case(tmp_path: Path) -> None:
    as_exact(tmp_path, VIEW, LEFT)
    gone = "Mass-Training_P_00002_LEFT_MLO"
    report = audit(table(tmp_path, row(), row(view=gone)), workers=1)
    assert {(error.kind, error.cases) for error in report.errors} == {
        ("unreadable_image", ("P_00002_LEFT_MLO",)),
        ("missing_mask", ("P_00002_LEFT_MLO",)),
    }


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    as_exact(tmp_path, VIEW, LEFT[:-1])
    (error,) = audit(table(tmp_path, row()), workers=1).errors
    assert error.kind == "mask_size_mismatch"


def test_a_patient_in_training_and_test_has_no_split_of_its_own(tmp_path: Path) -> None:
    as_exact(tmp_path, VIEW, LEFT)
    table(tmp_path, row())
    (case,) = table(tmp_path, row(), name="calc_case_description_test_set.csv").cases()
    assert dict(case.attributes) == {} and case.group == "P_00001"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row(pathology="MALIGNAN")], "no such pathology; got 'MALIGNAN'; did you mean 'MALIGNANT'?"),
        ([row().replace(VIEW + "/", "../" + VIEW + "/")], "'image file path' must be a path below the folder"),
        ([row().replace(f",{VIEW}/", ",/etc/")], "'image file path' must be a path below the folder"),
        ([row().replace("P_00001,LEFT", ",LEFT", 1)], "the column 'patient_id' is empty"),
        ([row()], "not one of the images that the tables name is there, such as Mass-Training_P_00001_LEFT_CC/1.3"),
        ([], "not one of the images that the tables name is there"),
    ],
)
def test_wrong_tables_are_told(tmp_path: Path, rows: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        table(tmp_path, *rows).cases()
    (problem,) = caught.value.problems
    assert says in str(problem)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    as_exact(tmp_path, VIEW, LEFT)
    write_dicom(tmp_path / VIEW / STUDY / SERIES / "000000.dcm", IMAGE, Rows=60_000, Columns=60_000)
    dataset = table(tmp_path, row())
    with pytest.raises(OSError, match="60000 x 60000 is more than 67,108,864 pixels; refused"):
        dataset.read_image(dataset.cases()[0])


def test_a_window_of_the_whole_range_keeps_the_ends(tmp_path: Path) -> None:
    as_exact(tmp_path, VIEW, LEFT)
    table(tmp_path, row())
    dataset = CbisDdsm(tmp_path, window="full")
    expected = np.rint(IMAGE / 257).astype(np.uint8)
    assert cv2.absdiff(dataset.read_image(dataset.cases()[0]), expected).max() <= 1
