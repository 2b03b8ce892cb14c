"""``python -m experiments.predict``: from image files to masks, maps, pictures and a table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from experiments.console.interruption import Interrupted, Interruption
from experiments.prediction import Inference, open_ensemble, select_runs
from experiments.prediction.command import device_named, predict_folder
from experiments.prediction.images.flow import Flow, Wishes
from experiments.prediction.images.sources import find_images
from experiments.prediction.images.truth import TrueMasks
from experiments.prediction.preparation import reader_of
from utils.metrics import case_scores

Predict = Callable[..., int]
Rows = Callable[[], dict[str, dict[str, str]]]
Capture = pytest.CaptureFixture[str]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_the_mask_of_a_test_case_is_the_one_that_was_scored(
    sweep: Any, predict: Predict, rows: Rows, tmp_path: Path, bench: Any
) -> None:
    assert predict("--run", f"{sweep.configuration}/fold-0", "--image", sweep.images) == 0
    found, cases = rows(), {case.id: case for case in bench.dataset.cases()}
    for case, scored in sweep.cases(0).items():
        row, mask = found[f"{case}.png"], read(tmp_path / "out" / f"{case}_mask.png")
        truth = bench.dataset.read_mask(cases[case])
        assert mask.shape == truth.shape and set(np.unique(mask)) <= {0, 255}
        dice = case_scores(mask > 0, truth)["dice"]
        assert scored["dice"] == row["dice"] == ("" if np.isnan(dice) else f"{dice:.9g}")
        for name in ("benign", "malignant", "normal"):
            assert float(row[f"probability_{name}"]) == pytest.approx(float(scored[f"probability_{name}"]), abs=1e-5)
        assert row["members"] == f"{sweep.configuration}/fold-0" and row["uncertainty"] == ""


def test_every_image_gets_its_files_and_its_row(
    sweep: Any, predict: Predict, rows: Rows, tmp_path: Path, capsys: Capture
) -> None:
    assert predict("--image", sweep.images, "--min-area", 4) == 0
    found, out = rows(), tmp_path / "out"
    assert len(found) == 24 and list(found) == sorted(found)
    for name, row in found.items():
        stem = name.removesuffix(".png")
        mask, probability = read(out / f"{stem}_mask.png") > 0, read(out / f"{stem}_probability.png")
        page = read(out / f"{stem}_prediction_output.png")
        assert probability.dtype == np.uint16 and probability.shape == mask.shape == read(sweep.images / name).shape[:2]
        assert not (mask & (probability < 0.5 * 65535)).any()
        assert page.shape[2] == 3 and len(np.unique(page)) > 50
        assert int(row["lesion_pixels"]) == mask.sum() and float(row["uncertainty"]) >= 0
        assert row["error"] == "" and row["threshold"] == "0.5"
    printed = capsys.readouterr().out
    assert "2 networks of tiny" in printed and "24 of 24 images predicted" in printed and "Mean Dice" in printed
    assert "no other configuration is tied with it" in printed


def test_the_same_command_goes_on_where_it_was(sweep: Any, predict: Predict, rows: Rows, tmp_path: Path) -> None:
    data, out = Path(shutil.copytree(sweep.images / "benign", tmp_path / "data")), tmp_path / "out"
    given = ("--image", data, "--write", "mask")
    assert predict(*given) == 0
    before, times = contents(out), {path: path.stat().st_mtime_ns for path in out.glob("*_mask.png")}
    lost, changed = sorted(times)[0], sorted(times)[1]
    lost.unlink()
    other = data / changed.name.replace("_mask", "")
    picture = read(other)
    cv2.imwrite(str(other), 255 - picture)
    assert predict(*given) == 0
    after = {path: path.stat().st_mtime_ns for path in out.glob("*_mask.png")}
    assert {path for path in after if after[path] != times[path]} == {lost, changed}
    cv2.imwrite(str(other), picture)
    assert predict(*given) == 0
    now = contents(out)
    assert {name for name in now if now[name] != before[name]} <= {"predictions.csv"}
    masks = rows()
    assert predict(*given, "--threshold", "0.3") == 0
    assert all(rows()[name]["made_by"] != row["made_by"] for name, row in masks.items())


def test_an_interrupted_folder_is_taken_up_again_to_the_same_end(sweep: Any, tmp_path: Path) -> None:
    selection = select_runs(sweep.results, "tiny")
    ensemble = open_ensemble(selection, device_named("cpu"))
    sources = find_images([str(sweep.images)], tmp_path).sources

    def flow(folder: str) -> Flow:
        wishes = Wishes(Inference(), batch_size=4, kinds=("mask",))
        made = Flow(ensemble, wishes, tmp_path / folder, TrueMasks(), reader_of(selection.runs[0].settings))
        made.known = made.table.read(made.output)
        return made

    class Stops(Interruption):
        def check(self) -> None:
            if len(list((tmp_path / "stopped").rglob("*_mask.png"))) >= 4:
                raise Interrupted(2)

    with pytest.raises(Interrupted):
        predict_folder(flow("stopped"), sources, Console(quiet=True), Stops())
    done = flow("stopped").known
    assert 4 <= len(done) < 24, "what was under way is finished and kept, the rest not begun"
    again = flow("stopped")
    made = predict_folder(again, sources, Console(quiet=True), Interruption())
    assert all(made[name] is again.known[name] for name in done) and len(made) == 24
    predict_folder(flow("undisturbed"), sources, Console(quiet=True), Interruption())
    assert contents(tmp_path / "stopped") == contents(tmp_path / "undisturbed")


def test_bad_images_are_reported_and_the_others_predicted(
    sweep: Any, predict: Predict, rows: Rows, tmp_path: Path, capsys: Capture
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    good = sorted((sweep.images / "malignant").glob("*).png"))[0]
    shutil.copy(good, data / "good.png")
    (data / "cut.png").write_bytes(good.read_bytes()[:200])
    (data / "text.jpg").write_text("no image")
    shutil.copy(good, data / "odd.png")
    cv2.imwrite(str(data / "odd_mask.png"), np.zeros((3, 3), np.uint8))
    assert predict("--image", data) == 1
    errors = {name: row["error"] for name, row in rows().items()}
    assert {name for name, error in errors.items() if error} == {"cut.png", "text.jpg", "odd.png"}
    assert "text.jpg: not an image" in errors["text.jpg"] and "the mask has (3, 3) pixels" in errors["odd.png"]
    assert "1 of 4 images predicted" in capsys.readouterr().out
    (data / "cut.png").write_bytes(good.read_bytes())
    assert predict("--image", data / "cut.png") == 0
    assert rows()["cut.png"]["error"] == ""


def test_what_was_predicted_in_another_precision_is_predicted_again(sweep: Any, predict: Predict, rows: Rows) -> None:
    assert predict("--image", sweep.images / "normal") == 0
    before = rows()
    assert predict("--image", sweep.images / "normal", "--amp", "bf16") == 0
    assert all(rows()[name] != before[name] and not rows()[name]["error"] for name in before)


def test_masks_may_come_later_and_from_elsewhere(sweep: Any, predict: Predict, rows: Rows, tmp_path: Path) -> None:
    data, truth = tmp_path / "data", tmp_path / "truth"
    data.mkdir()
    truth.mkdir()
    name = "benign (2)"
    shutil.copy(sweep.images / "benign" / f"{name}.png", data)
    assert predict("--image", data) == 0
    assert rows()[f"{name}.png"]["dice"] == "" and rows()[f"{name}.png"]["truth"] == ""
    shutil.copy(sweep.images / "benign" / f"{name}_mask.png", truth / f"{name}.png")
    assert predict("--image", data, "--masks", truth) == 0
    assert rows()[f"{name}.png"]["dice"] != ""


def test_all_ways_of_asking_together(sweep: Any, predict: Predict, rows: Rows, capsys: Capture) -> None:
    ways = ("--tta", "--size", "32,40", "--clahe", "adaptive", "--threshold", "validation", "--batch-size", 3)
    assert predict("--image", sweep.images / "normal", *ways) == 0
    printed = capsys.readouterr().out
    assert "validation cases, each answered by the network that was validated on it" in printed
    assert {row["error"] for row in rows().values()} == {""}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sweep", "tinny", "--image", "x.png"), "did you mean 'tiny'?"),
        (("--image", "missing.png"), "no such file or folder"),
        (("--image", "missing.png", "--device", "cuda:9"), "no such device here"),
        (("--image", "missing.png", "--run", "nonsense"), "no such run"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(
    predict: Predict, arguments: tuple[str, ...], message: str, capsys: Capture
) -> None:
    assert predict(*arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err and "1 problem" in printed.err


@pytest.mark.parametrize(
    "option",
    [
        ("--size", "512,big"),
        ("--size", "4"),
        ("--threshold", "1.5"),
        ("--clahe", "nan"),
        ("--top", "0"),
        ("--min-area", "-1"),
    ],
)
def test_values_out_of_range_are_refused_by_their_option(
    predict: Predict, option: tuple[str, str], capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as ended:
        predict("--image", "x.png", *option)
    assert ended.value.code == 2 and option[0] in capsys.readouterr().err


def test_help_is_answered() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "experiments.predict", "--help"], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0 and "python -m experiments.predict" in ended.stdout
    assert all(option in ended.stdout for option in ("--sweep", "--image", "--export", "--clahe", "--gpu"))
