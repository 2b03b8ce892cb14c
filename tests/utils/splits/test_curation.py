"""What a curation list names, which copy stays, and that a dataset leaves out what it names and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets.busi import Busi
from utils.datasets.miniatures import write_miniature
from utils.errors import UserError
from utils.splits.audit import audit
from utils.splits.curation import curation, curation_table, main
from utils.splits.findings import Audit, Finding


def report(*findings: Finding) -> Audit:
    return Audit(findings, (), (), {}, {}, ())


def finding(kind: str, *cases: str, severity: str = "warning") -> Finding:
    return Finding(kind, severity, cases, "", f"about {kind}")  # type: ignore[arg-type]


def removed(*findings: Finding, near_copies: bool = False) -> dict[str, tuple[str, str]]:
    return {each.case: (each.kind, each.kept) for each in curation(report(*findings), near_copies)}


def test_every_case_with_an_error_goes() -> None:
    assert removed(
        finding("label_conflict", "benign (433)", "malignant (145)", severity="error"),
        finding("orphan_mask"),
    ) == {"benign (433)": ("label_conflict", ""), "malignant (145)": ("label_conflict", "")}


def test_of_copies_the_first_stays() -> None:
    assert removed(finding("exact_duplicate", "a", "b", "c")) == {
        "b": ("exact_duplicate", "a"),
        "c": ("exact_duplicate", "a"),
    }


def test_a_copy_that_goes_for_another_reason_is_not_the_one_that_stays() -> None:
    found = removed(
        finding("empty_lesion_mask", "a", severity="error"),
        finding("exact_duplicate", "a", "b"),
    )
    assert found == {"a": ("empty_lesion_mask", "")}


def test_near_copies_stay_unless_asked_for() -> None:
    near = finding("near_duplicate", "a", "b")
    assert removed(near) == {}
    assert removed(near, near_copies=True) == {"b": ("near_duplicate", "a")}
    both = removed(near, finding("near_duplicate_label_conflict", "a", "b"), near_copies=True)
    assert set(both) == {"a", "b"} and {kind for kind, _ in both.values()} == {"near_duplicate_label_conflict"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """BUSI's faults on a small scale: an image under two labels, a copy, a lesion in a normal image."""
    root = write_miniature("busi", tmp_path / "busi", 6)
    for one, other in {
        "benign/benign (1)": "malignant/malignant (9)",
        "benign/benign (2)": "benign/benign (9)",
    }.items():
        for end in (".png", "_mask.png"):
            shutil.copy(root / f"{one}{end}", root / f"{other}{end}")
    mask = root / "normal/normal (1)_mask.png"
    pixels = cv2.imdecode(np.fromfile(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    pixels[:5, :5] = 255
    mask.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return root


def test_what_the_list_names_is_left_out_and_the_rest_is_sound(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "curation.csv"
    assert main(["busi", str(root), str(table)]) == 0
    named = {line.split(",")[0] for line in table.read_text().splitlines()[1:]}
    assert named == {"benign/benign (1)", "malignant/malignant (9)", "benign/benign (9)", "normal/normal (1)"}
    before, after = Busi(root), Busi(root, curation=table)
    assert {case.id for case in before.cases()} - {case.id for case in after.cases()} == named
    again = audit(after, workers=1)
    assert again.errors == () and curation(again) == ()


def test_a_list_of_other_data_is_refused(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "curation.csv"
    table.write_text("case,why\nbenign/benign 1,a slip\n")
    with pytest.raises(UserError, match=r"no such case; got 'benign/benign 1'; did you mean 'benign/benign \(1\)'"):
        Busi(root, curation=table).cases()
    table.write_text("id\nbenign/benign (1)\n")
    with pytest.raises(UserError, match=r"dataset\.options\.curation .*: the table must have the columns case"):
        Busi(root, curation=str(table)).cases()
    with pytest.raises(UserError, match=r"dataset\.options\.curation: the table cannot be read"):
        Busi(root, curation=tmp_path / "none.csv").cases()


def test_the_command_says_what_is_wrong(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there.csv").write_text("kept")
    for arguments, says in {
        ("busy", str(root), "new.csv"): "did you mean 'busi'?",
        ("busi", str(tmp_path / "none"), "new.csv"): "no such folder",
        ("busi", str(root), str(tmp_path / "there.csv")): "is there already",
    }.items():
        assert main(arguments) == 2
        assert says in capsys.readouterr().err
    assert (tmp_path / "there.csv").read_text() == "kept"


def test_a_table_can_be_empty() -> None:
    assert curation_table(()) == "case,kind,kept,message\n"
