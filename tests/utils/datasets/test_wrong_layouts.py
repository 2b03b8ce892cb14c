"""The whole command on data that are not what the sweep file says: one message, exit code 2, nothing written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import run_sweep

SWEEP = """\
name: s
dataset: {{name: {name}, root: data, image_size: 32}}
model: {{encoder: tu-mobilenetv3_small_050, encoder_weights: none}}
training: {{epochs: 1}}
"""
Folder = Callable[[str], Path]
Damage = Callable[[Path], object]


def without(pattern: str) -> Damage:
    """Takes away what a pattern finds, files and folders."""

    def damage(root: Path) -> None:
        found = sorted(root.glob(pattern))
        assert found
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def instead(pattern: str, content: bytes) -> Damage:
    """Puts something else into what a pattern finds."""

    def damage(root: Path) -> None:
        (path,) = root.glob(pattern)
        path.write_bytes(content)

    return damage


CASES: list[tuple[str, Damage, str]] = [
    ("folders", without("test/masks"), "no masks/ beside images/ in test/"),
    ("folders", without("*/images"), "not laid out in folders: no images/, nor a folder that holds one"),
    ("folders", without("*/masks/*"), "not a single image has a mask, such as sample_007_segmentation.png"),
    ("manifest", without("manifest.csv"), "no manifest.csv in it"),
    ("manifest", instead("manifest.csv", b"image;mask\na.png;b.png\n"), "must have the columns image; missing: image"),
    ("manifest", instead("manifest.csv", b"\xff\xfe\x00"), "the table cannot be read"),
    ("manifest", instead("manifest.csv", b"image,mask,label\n../x.png,,benign\n"), "in the manifest's folder"),
    ("mias", without("Info.txt"), "not laid out like Mias: no Info.txt"),
    ("mias", instead("Info.txt", b"mdb001 Z CIRC B 1 2 3\n"), "must go on with a tissue"),
    ("mias", without("*.pgm"), "not one of the films that Info.txt names is there"),
    ("cbis_ddsm", without("*.csv"), "no mass_case_description_train_set.csv"),
    ("cbis_ddsm", without("CBIS-DDSM"), "not one of the images that the tables name is there"),
    ("cbis_ddsm", instead("mass*_test_set.csv", b"patient_id\nP_1\n"), "the table must have the columns"),
    ("inbreast", without("*/INbreast.csv"), "not laid out like Inbreast: no INbreast.csv, AllDICOMs, AllXML"),
    ("inbreast", without("*/AllDICOMs/*"), "AllDICOMs/ holds no DICOM file"),
    ("inbreast", instead("*/INbreast.csv", b"File Name,Bi-Rads\n1,2\n"), "must have the columns File Name, Bi-Rads"),
    ("oral_epithelium", without("*/Original ROI images/severe"), "not laid out like OralEpithelium"),
    ("oral_epithelium", without("*/Original ROI images/*/*"), "the folders of images are empty"),
    ("nuclei", without("mild"), "no mild/images, mild/labels"),
    ("nuclei", without("*/images/*"), "the folders of images are empty"),
]


@pytest.mark.parametrize(("name", "damage", "says"), CASES, ids=[f"{name}: {says[:40]}" for name, _, says in CASES])
def test_a_wrong_layout_gets_one_clear_message(
    name: str,
    damage: Damage,
    says: str,
    copied: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied(name).rename(tmp_path / "data")
    damage(tmp_path / "data")
    (tmp_path / "s.yaml").write_text(SWEEP.format(name=name))
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    assert run_sweep.main(["s.yaml", "--address", "127.0.0.1:1"]) == 2
    heading, *lines = capsys.readouterr().err.splitlines()
    assert heading == "1 problem:" and len(lines) == 1 and says in lines[0], (heading, lines)
    assert "Traceback" not in lines[0]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == before
    # The lock of the sweep stays, since to delete it would be a race.
    assert [path.name for path in (tmp_path / "results").rglob("*") if path.is_file()] in ([], ["driver.lock"])
