"""``python -m utils.datasets.miniatures``: a folder to look at, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.datasets.histology.nuclei import Nuclei
from utils.datasets.miniatures import write_miniature
from utils.datasets.miniatures.__main__ import main


def test_it_writes_what_the_dataset_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nuclei", str(tmp_path / "new"), "--patients", "4"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "new")
    assert len(Nuclei(tmp_path / "new").cases()) == 10


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    one, again, other = (
        write_miniature("mias", tmp_path / str(number), 2, seed) for number, seed in enumerate((1, 1, 2))
    )
    for path in one.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()
    assert (other / "mdb001.pgm").read_bytes() != (one / "mdb001.pgm").read_bytes()


def test_what_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("kept")
    said = {
        ("mias", str(tmp_path)): "there is something already",
        ("mias", str(tmp_path / "mine")): "there is something already",
        ("miass", str(tmp_path / "new")): "did you mean 'mias'?",
        ("mias", str(tmp_path / "new"), "--patients", "0"): "--patients: must be at least 1",
    }
    for arguments, says in said.items():
        assert main(arguments) == 2
        assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
