"""A cascade as its user meets it: killed in both of its stages, resumed, and its scores checked by hand."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from experiments.ledger.record import read
from experiments.predict.__main__ import main
from experiments.prediction import open_ensemble, select_runs
from experiments.prediction.cascaded import first_stage_of
from utils.datasets.crops import Box, Crops
from utils.datasets.opening import open_dataset
from utils.images.reading import read_mask
from utils.metrics import case_scores
from utils.splits.table import read_split_table

pytestmark = pytest.mark.slow

SHARED = """\
model: {encoder: tu-mobilenetv3_small_050, encoder_weights: none, batch_norm_momentum: 0.1}
training: {epochs: 3, batch_size: 8, lr: 0.003}
resources: {cpus: 1, gpus: 0, slots: 1}
"""
REGION = f"""\
name: region
dataset: {{name: phantom, image_size: 32, options: {{cases: 30, height: 64, width: 64}}}}
folds: {{k: 2}}
{SHARED}"""
LESION = f"""\
name: lesion
dataset: {{name: crops, image_size: 32, root: "${{predictions:region}}", options: {{around: largest}}}}
folds: {{from: "${{folds:region}}", group: patient}}
{SHARED}"""
PIPELINE = "name: pipeline\nstages: [region.yaml, lesion.yaml]\n"


@pytest.fixture
def pipeline(workspace: Any) -> Any:
    """A workspace whose command is the cascade."""
    for name, text in (("region", REGION), ("lesion", LESION), ("pipeline", PIPELINE)):
        (workspace.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    workspace.file = workspace.folder / "pipeline.yaml"
    return workspace


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_cascade_killed_on_its_way_is_taken_further(pipeline: Any) -> None:
    predictions, second = pipeline.results / "predictions" / "region", pipeline.results / "runs" / "lesion"
    command = pipeline.start("--no-report")
    command.until(lambda: list(predictions.glob("*/masks/*.png")), "a prediction of the first stage")
    command.process.kill()
    assert command.wait() == -signal.SIGKILL
    first_stage = pipeline.records()
    command = pipeline.start("--no-report")
    command.until(lambda: list(second.glob("*/fold-*/record.json")), "a record of the second stage")
    command.process.kill()
    assert command.wait() == -signal.SIGKILL
    [folder] = predictions.iterdir()
    boxes = (folder / "boxes.csv").read_bytes()

    output = pipeline.run("--no-report")
    assert "In the whole images the cascade with" in output
    assert (folder / "boxes.csv").read_bytes() == boxes and list(predictions.iterdir()) == [folder]
    records = pipeline.records()
    assert len(records) == 4 and {run: records[run] for run in first_stage} == first_stage
    assert "lesion: 2 runs, 2 done already" in pipeline.run("--no-report")
    assert pipeline.records() == records

    # The folds of the second stage are those of the first.
    splits = {path.parent.parent.parent.name: read(path.parent).split for path in pipeline.runs("record.json").values()}
    assert len(set(splits.values())) == 1, splits
    check_scores(pipeline.results, Crops(folder, around="largest"))
    check_use(pipeline, Crops(folder, around="largest"))


def check_use(pipeline: Any, crops: Crops) -> None:
    """The winner predicts whole images, its first stage before it; without that it refuses."""
    case = crops.cases()[0]
    image = open_dataset("phantom", None, {"cases": 30, "height": 64, "width": 64}).read_image(case)
    cv2.imwrite(str(pipeline.folder / "scan.png"), image)
    arguments = ["--sweep", "lesion", "--image", str(pipeline.folder / "scan.png"), "--results", str(pipeline.results)]
    assert main([*arguments, "--device", "cpu"]) == 0
    drawn = read_mask(pipeline.results / "predictions" / "lesion" / "scan_mask.png")
    selection = select_runs(pipeline.results, "lesion")
    second = open_ensemble(selection, torch.device("cpu"))
    first = open_ensemble(first_stage_of(selection, pipeline.results), torch.device("cpu"))
    assert [member.name.split("/")[1] for member in first.members] == ["fold-0", "fold-1"]
    box = crops.box_around(first.predict(image).probability > 0.5)
    expected = np.zeros(image.shape[:2], bool)
    expected[box.top : box.bottom, box.left : box.right] = second.predict(box.cut(image)).probability > 0.5
    assert np.array_equal(drawn.astype(bool), expected)

    for path in pipeline.runs("best.pt").values():
        if "region" in path.parts:
            path.unlink()
    assert main([*arguments, "--output", str(pipeline.folder / "again")]) == 2


def check_scores(results: Path, crops: Crops) -> None:
    """The table's Dice is that of the networks' masks, put back into the images by hand."""
    rows = rows_of(results / "lesion_cascade.csv")
    assert len(rows) == 30 == len({row["case"] for row in rows})
    cases = {case.id: case for case in crops.cases()}
    split, _ = read_split_table(crops.root / "folds.csv")
    for fold in split.folds:
        mine = [row for row in rows if row["fold"] == str(fold.index)]
        assert [row["case"] for row in mine] == list(fold.test)
        selection = select_runs(results, "lesion", f"{mine[0]['configuration']}/fold-{fold.index}")
        network = open_ensemble(selection, torch.device("cpu"))
        for row in mine:
            case = cases[row["case"]]
            whole = crops.read_whole_mask(case).astype(bool)
            put_back = np.zeros_like(whole)
            box = Box(*map(int, row["box"].split()))
            drawn = network.predict(crops.read_image(case)).probability > 0.5
            put_back[box.top : box.bottom, box.left : box.right] = drawn
            expected = case_scores(put_back, whole)["dice"]
            assert (row["cascade_dice"] == "") == bool(np.isnan(expected))
            if whole.any():
                # A pixel on the threshold may fall to the other side in another batch.
                assert float(row["cascade_dice"]) == pytest.approx(expected, abs=0.02)
