"""INbreast: contours of OsiriX to masks, BI-RADS to labels, the patient from the name of a file."""

from __future__ import annotations

import plistlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from utils.datasets.mammography.inbreast import Inbreast
from utils.datasets.miniatures.files import write_dicom
from utils.errors import UserError
from utils.splits.audit import audit

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
IMAGE = np.random.default_rng(0).integers(0, 4096, (9, 12), np.uint16)
SQUARE = [(2, 1), (5, 1), (5, 4), (2, 4)]


def roi(name: str, *points: tuple[float, float]) -> dict[str, Any]:
    return {"Name": name, "NumberOfPoints": len(points), "Point_px": [f"({x:f}, {y:f})" for x, y in points]}


def contours(*rois: dict[str, Any]) -> bytes:
    return plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": list(rois)}]})


class Release:
    """A release of a few images, put together by a test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[str] = []
        (root / "AllDICOMs").mkdir()
        (root / "AllXML").mkdir()

    def add(self, number: int, grade: str, xml: bytes | None = None, patient: str = "6c613a14b80a8591") -> None:
        write_dicom(
            self.root / "AllDICOMs" / f"{number}_{patient}_MG_R_CC_ANON.dcm",
            np.roll(IMAGE, number),
            ImagerPixelSpacing=[0.07, 0.08],
        )
        if xml is not None:
            (self.root / "AllXML" / f"{number}.xml").write_bytes(xml)
        self.rows.append(f"removed;removed;R;CC;201001;{number};3    ;{grade}")

    def open(self, **options: Any) -> Inbreast:
        (self.root / "INbreast.csv").write_text("\n".join([HEADER, *self.rows]) + "\n")
        return Inbreast(self.root, **options)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


def test_grades_become_labels_and_an_unfinished_examination_is_none(release: Release) -> None:
    mass = contours(roi("Mass", *SQUARE))
    for number, grade in enumerate(("0", "1", "2", "3", "4a", "4C", "5", "6"), start=101):
        release.add(number, grade, None if grade in "01" else mass)
    cases = release.open().cases()
    assert [case.label for case in cases] == ["normal", "benign", "benign", *["malignant"] * 4]
    assert audit(release.open(), workers=1).errors == ()
    assert cases[0].attributes == {"view": "CC", "side": "R", "density": "3", "birads": "1"}
    assert {case.group for case in cases} == {"6c613a14b80a8591"}
    assert {case.spacing for case in cases} == {(0.07, 0.08)}


def test_contours_are_filled_with_their_outline_and_y_points_down(release: Release) -> None:
    release.add(7, "5", contours(roi("Mass", *SQUARE), roi("Calcification", (10.2, 7.6))))
    dataset = release.open()
    expected = np.zeros((9, 12), np.uint8)
    expected[1:5, 2:6] = 1
    expected[8, 10] = 1
    np.testing.assert_array_equal(dataset.read_mask(dataset.cases()[0]), expected)


def test_chosen_findings_alone_are_drawn_and_images_of_others_are_no_cases(release: Release) -> None:
    release.add(1, "1")
    release.add(2, "2", contours(roi("Calcification", (3, 3))))
    release.add(3, "5", contours(roi("Mass", *SQUARE), roi("Calcification", (10, 7))))
    dataset = release.open(findings=["mass"])
    assert [case.id for case in dataset.cases()] == ["1", "3"]
    assert dataset.read_mask(dataset.cases()[1]).sum() == 16
    with pytest.raises(UserError, match=r"nothing of this name .* got \['mas'\]\. Valid: calcification, mass\."):
        release.open(findings=["mas"]).cases()


def test_a_finding_without_contours_is_missed_and_a_normal_image_misses_none(release: Release) -> None:
    release.add(1, "1")
    release.add(2, "4a")
    (error,) = audit(release.open(), workers=1).errors
    assert (error.kind, error.cases) == ("missing_mask", ("2",))


_BOMB = b"""<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<plist version="1.0"><dict><key>Images</key><string>&b;</string></dict></plist>"""


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"no XML",
        _BOMB,
        contours(roi("Mass", *SQUARE))[:-40],
        plistlib.dumps({"Pictures": []}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass"}]}]}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["3, 4"]}]}]}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["(1e999, 4)"]}]}]}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["(1.2.3, 4)"]}]}]}),
        plistlib.dumps({"Images": "none"}),
        contours(roi("Mass", (500, 4), (505, 8))),
        plistlib.dumps({"Images": []}, fmt=plistlib.FMT_BINARY),
    ],
)
def test_damaged_contours_are_an_error_of_their_case(release: Release, xml: bytes) -> None:
    release.add(1, "1")
    release.add(2, "5", xml)
    (error,) = audit(release.open(), workers=1).errors
    assert (error.kind, error.cases) == ("unreadable_mask", ("2",))
    assert "2.xml" in error.message


def test_a_contour_that_leaves_the_image_is_cut_off(release: Release) -> None:
    release.add(1, "5", contours(roi("Mass", (-4, -4), (2, -4), (2, 1), (-4, 1))))
    dataset = release.open()
    assert dataset.read_mask(dataset.cases()[0]).sum() == 6


def test_wrong_rows_are_told_with_their_lines(release: Release) -> None:
    release.add(1, "7")
    release.add(2, "")
    release.rows.append("removed;removed;R;CC;201001;../3;3;2")
    with pytest.raises(UserError) as caught:
        release.open().cases()
    assert [problem.source.rsplit(":")[-1] for problem in caught.value.problems] == ["2", "3", "4"]
    assert "must be the number of an image; got '../3'" in str(caught.value)


def test_two_files_of_one_image_are_refused(release: Release) -> None:
    release.add(1, "1")
    release.add(1, "1", patient="other")
    with pytest.raises(UserError, match="the same image as"):
        release.open().cases()


def test_an_image_of_the_table_that_is_not_there_is_named(release: Release) -> None:
    release.add(1, "1")
    release.rows.append("removed;removed;R;CC;201001;2;3;2")
    errors = audit(release.open(), workers=1).errors
    assert {(error.kind, error.cases) for error in errors} == {("unreadable_image", ("2",)), ("missing_mask", ("2",))}


def test_the_masks_of_the_miniature_are_what_was_drawn(miniature: Callable[[str], Path]) -> None:
    dataset = Inbreast(miniature("inbreast"))
    malignant = [case for case in dataset.cases() if case.label == "malignant"]
    assert {case.attributes["birads"] for case in malignant} == {"4a", "5"}
    assert all(dataset.read_mask(case).sum() > 30 for case in malignant)
