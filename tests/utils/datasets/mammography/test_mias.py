"""mini-MIAS: circles whose y axis points upwards, films of two lesions and of none that can be circled."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets.mammography.mias import Mias, disc
from utils.errors import UserError
from utils.splits.audit import audit

INFO = """\
REFNUM BG CLASS SEVERITY X Y RADIUS

mdb001 G CIRC B 3 1 1
mdb002 G NORM
mdb003 D CIRC B 2 6 0
mdb003 D SPIC M 7 6 0
mdb004 F CALC B *NOTE 3*
mdb005 F CALC M
mdb009 D NORM

mdb... is the number of a film; one with an even number is of a left breast.
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for film in range(1, 6):
        pixels = random.integers(0, 256, (8, 10), np.uint8)
        (tmp_path / f"mdb{film:03}.pgm").write_bytes(cv2.imencode(".pgm", pixels)[1].tobytes())
    (tmp_path / "Info.txt").write_text(INFO)
    return tmp_path


def test_a_circle_is_counted_from_the_lower_left_corner(root: Path) -> None:
    dataset = Mias(root)
    first, _, third, *_ = dataset.cases()
    drawn = dataset.read_mask(first)
    # One pixel above the lowest row of eight is row 6; a radius of 1 is a cross.
    assert sorted(zip(*np.nonzero(drawn), strict=True)) == [(5, 3), (6, 2), (6, 3), (6, 4), (7, 3)]
    assert sorted(zip(*np.nonzero(dataset.read_mask(third)), strict=True)) == [(1, 2), (1, 7)]


def test_labels_patients_and_millimetres(root: Path) -> None:
    cases = Mias(root).cases()
    assert [case.id for case in cases] == ["mdb001", "mdb002", "mdb003", "mdb004", "mdb005"]
    assert [case.label for case in cases] == ["benign", "normal", "malignant", "benign", "malignant"]
    assert [case.group for case in cases] == ["patient 001"] * 2 + ["patient 002"] * 2 + ["patient 003"]
    assert {case.spacing for case in cases} == {(0.2, 0.2)}
    assert cases[0].attributes == {"tissue": "fatty-glandular", "kind": "CIRC"}


def test_a_normal_film_has_an_empty_mask_and_misses_none(root: Path) -> None:
    assert not Mias(root).read_mask(Mias(root).cases()[1]).any()


def test_lesions_without_a_circle_are_left_to_the_user(root: Path) -> None:
    errors = audit(Mias(root), workers=1).errors
    assert [error.cases for error in errors] == [("mdb004",), ("mdb005",)]
    assert all("gives no circle" in error.message for error in errors)


def test_a_circle_outside_of_the_film_is_no_empty_mask(root: Path) -> None:
    (root / "Info.txt").write_text("mdb001 G CIRC B 300 1 2\n")
    with pytest.raises(OSError, match="outside of its 10 x 8 pixels"):
        Mias(root).read_mask(Mias(root).cases()[0])


def test_films_may_lie_in_a_folder_beside_the_list(root: Path) -> None:
    (root / "all-mias").mkdir()
    for film in root.glob("*.pgm"):
        film.rename(root / "all-mias" / film.name)
    assert len(Mias(root).cases()) == 5


def test_content_follows_the_line_of_the_film_alone(root: Path) -> None:
    before = {case.id: Mias(root).content(case) for case in Mias(root).cases()}
    (root / "Info.txt").write_text(INFO.replace("mdb001 G CIRC B 3 1 1", "mdb001 G CIRC B 3 1 2"))
    after = {case.id: Mias(root).content(case) for case in Mias(root).cases()}
    assert [id for id in before if before[id] != after[id]] == ["mdb001"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("mdb001 X CIRC B 3 1 1", "must go on with a tissue (F, G, D) and a kind"),
        ("mdb001 G", "must go on with a tissue"),
        ("mdb001 G CIRC", "must be B (benign) or M (malignant)"),
        ("mdb001 G CIRC B 3 1", "a circle must be three numbers"),
        ("mdb001 G CIRC B 3 1 -1", "a circle must be three numbers"),
        ("mdb001 G CIRC B 3 1 999999", "a circle must be three numbers"),
    ],
)
def test_a_line_that_cannot_be_understood_is_told(root: Path, line: str, says: str) -> None:
    (root / "Info.txt").write_text(f"{line}\nmdb002 G NORM\n")
    with pytest.raises(UserError) as caught:
        Mias(root).cases()
    (problem,) = caught.value.problems
    assert says in problem.message and problem.source.endswith("Info.txt:1") and problem.value == line


@pytest.mark.parametrize(("text", "says"), [("", "has no line that begins with a film"), ("mdb300 G NORM", "not one")])
def test_a_list_of_nothing_is_another_layout(root: Path, text: str, says: str) -> None:
    (root / "Info.txt").write_text(text)
    with pytest.raises(UserError, match=says):
        Mias(root).cases()


def test_a_disc_by_hand() -> None:
    assert disc((3, 4), 0, 1, 1).tolist() == [[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
