"""A manifest: any subset of its columns, and every mistake in it with its line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets.manifest import Manifest
from utils.datasets.miniatures.files import write_dicom
from utils.errors import UserError
from utils.splits.audit import audit

MASK = np.zeros((12, 14), np.uint8)
MASK[2:5, 3:7] = 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("a.png", "b.png", "deep/er/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(cv2.imencode(".png", random.integers(0, 256, MASK.shape, np.uint8))[1].tobytes())
    for name, mask in {"left.png": MASK, "right.png": np.roll(MASK, 6, axis=1)}.items():
        (tmp_path / name).write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    return tmp_path


def manifest(root: Path, *lines: str, **options: object) -> Manifest:
    (root / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Manifest(root, **options)  # type: ignore[arg-type]


def refusal(root: Path, *lines: str, **options: object) -> list[str]:
    with pytest.raises(UserError) as caught:
        manifest(root, *lines, **options).cases()
    return [str(problem) for problem in caught.value.problems]


def test_every_column_goes_into_the_case(root: Path) -> None:
    dataset = manifest(
        root,
        "case,image,mask,label,group,split,source,spacing,comment",
        "first,a.png,left.png; right.png,malignant,p1,test,north,0.2 x 0.25,seen twice",
        "second,deep/er/c.png,,normal,,,,0.5,",
    )
    first, second = dataset.cases()
    assert (first.id, first.label, first.group, first.spacing) == ("first", "malignant", "p1", (0.2, 0.25))
    assert dict(first.attributes) == {"source": "north", "split": "test"}
    np.testing.assert_array_equal(dataset.read_mask(first), MASK | np.roll(MASK, 6, axis=1))
    assert (second.group, second.spacing, dict(second.attributes)) == (None, (0.5, 0.5), {})
    assert not dataset.read_mask(second).any()
    assert dataset.classes == ("malignant", "normal") and dataset.lesion_classes == ("malignant",)
    assert audit(dataset, workers=1).errors == ()


def test_images_alone_are_a_manifest(root: Path) -> None:
    dataset = manifest(root, "image,mask", "a.png,left.png", "deep/er/c.png,left.png")
    assert [case.id for case in dataset.cases()] == ["a", "deep/er/c"]
    assert dataset.classes == dataset.lesion_classes == ("lesion",)


def test_an_empty_mask_of_a_lesion_is_missed(root: Path) -> None:
    dataset = manifest(root, "image,mask,label", "a.png,,benign", "b.png,,normal")
    (error,) = audit(dataset, workers=1).errors
    assert (error.kind, error.cases) == ("missing_mask", ("a",))


def test_the_manifest_itself_may_be_the_root(root: Path) -> None:
    (root / "other.csv").write_text("image,mask\nb.png,left.png\n")
    assert [case.id for case in Manifest(root / "other.csv").cases()] == ["b"]
    assert [case.id for case in Manifest(root, file="other.csv").cases()] == ["b"]


def test_classes_keep_the_order_that_they_are_given_in(root: Path) -> None:
    dataset = manifest(root, "image,label", "a.png,x", "b.png,y", classes=["y", "x"], lesion_classes=[])
    assert dataset.classes == ("y", "x") and dataset.lesion_classes == ()
    assert audit(dataset, workers=1).errors == ()


def test_dicom_and_png_go_together(root: Path) -> None:
    write_dicom(root / "d.dcm", np.arange(168, dtype=np.uint16).reshape(MASK.shape) * 9)
    write_dicom(root / "d_mask.dcm", 255 * MASK)
    dataset = manifest(root, "image,mask", "d.dcm,d_mask.dcm;right.png")
    (case,) = dataset.cases()
    assert dataset.read_image(case).max() == 255
    np.testing.assert_array_equal(dataset.read_mask(case), MASK | np.roll(MASK, 6, axis=1))


def test_spacing_and_source_are_part_of_the_content(root: Path) -> None:
    contents = set()
    for told in (",", "0.1,", "0.2,", ",north", ",south", "0.1,north"):
        dataset = manifest(root, "image,mask,spacing,source", f"a.png,left.png,{told}")
        contents.add(dataset.content(dataset.cases()[0]))
    assert len(contents) == 6


def test_every_mistake_is_told_with_its_line(root: Path) -> None:
    found = refusal(
        root,
        "image,mask,label,split,spacing",
        "../a.png,,benign,,",
        "/etc/passwd,,benign,,",
        ",,benign,,",
        "a.png,x/../../left.png,benign,,",
        "a.png,left.png,bening,,",
        "a.png,left.png,benign,tset,",
        "a.png,left.png,benign,test,0",
        "a.png,left.png,benign,test,1 2 3",
        "a.png,left.png,benign,test,wide",
        "b.png,left.png,benign,test,0.1",
        "b.png,left.png,benign,test,0.1",
        classes=("benign", "malignant"),
    )
    said = [(text, f"manifest.csv:{line}") for line, text in enumerate(SAID, start=2)]
    for text, line in said:
        assert [message for message in found if text in message and line in message], (text, line, found)
    assert len(found) == len(said) + 1 and "2 rows are the case 'b'" in found[-1]


SAID = (
    "the column image must be a path in the manifest's folder, relative to it; got '../a.png'",
    "the column image must be a path in the manifest's folder, relative to it; got '/etc/passwd'",
    "the column image names no file",
    "the column mask must be a path in the manifest's folder",
    "no such label; got 'bening'; did you mean 'benign'? Valid: benign, malignant.",
    "no such part; got 'tset'; did you mean 'test'?",
    "must be the millimetres of a pixel, one number or height and width; got '0'",
    "must be the millimetres of a pixel, one number or height and width; got '1 2 3'",
    "must be the millimetres of a pixel, one number or height and width; got 'wide'",
)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["picture,mask", "a.png,"], "must have the columns image; missing: image"),
        (["image,mask,mask", "a.png,,"], "two columns of one name: mask"),
        (["image"], "manifest.csv has no row"),
        (['image,mask\n"a.png,left.png'], "the table cannot be read"),
        (["image,label", "a.png,"], "no such label; got ''"),
    ],
)
def test_a_table_that_is_none_is_told(root: Path, lines: list[str], says: str) -> None:
    (problem,) = refusal(root, *lines)
    assert says in problem


def test_lesion_classes_are_classes(root: Path) -> None:
    (problem,) = refusal(root, "image,label", "a.png,benign", lesion_classes=("malign",))
    assert problem.startswith("dataset.options.lesion_classes: no such label; got 'malign'")
