"""``python -m experiments.explain``: sheets and numbers of cases that no network has seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from experiments.explain.__main__ import main
from experiments.explanation import Explainer
from experiments.explanation.command import described
from experiments.explanation.sheet import MOST_ROWS
from experiments.explanation.table import Row, measured, summary
from experiments.prediction import Ensemble, Member
from experiments.prediction.preparation import Preparation
from models.network import Network

pytest.importorskip("pytorch_grad_cam")

Explain = Callable[..., int]
Rows = Callable[[], list[dict[str, str]]]
Capture = pytest.CaptureFixture[str]


def test_every_case_is_explained_by_the_network_that_has_not_seen_it(
    sweep: Any, explain: Explain, rows: Rows, tmp_path: Path, capsys: Capture
) -> None:
    assert explain("--cases", 2) == 0
    found = rows()
    # The two folds have tested one normal case between them.
    assert [row["label"] for row in found] == ["benign"] * 2 + ["malignant"] * 2 + ["normal"]
    for row in found:
        fold = int(row["networks"].rpartition("-")[2])
        scored = sweep.cases(fold)[row["case"]]
        assert row["predicted"] == scored["predicted"]
        assert float(row["probability"]) == pytest.approx(float(scored[f"probability_{row['predicted']}"]), abs=1e-5)
        assert row["lesion"] == ("none" if row["label"] == "normal" else "truth") and row["error"] == ""
        inside = [row["diagnosis_inside"], row["segmentation_inside"]]
        assert all(text == "" or 0 <= float(text) <= 1 for text in inside)
        if row["label"] != "normal" and inside[0]:
            # The deepest feature of such small images is a single position, which knows nothing of places.
            assert float(inside[0]) == pytest.approx(float(row["lesion_share"]), rel=1e-4)
    for name in ("benign", "malignant", "normal"):
        page = cv2.imread(str(tmp_path / "out" / f"{name}.png"))
        assert page is not None and len(np.unique(page)) > 100
    printed = capsys.readouterr().out
    assert "which has never seen it" in printed and "Grad-CAM of the diagnosis, at encoder feature 5" in printed
    assert "5 of 5 explained" in printed and "normal (1): no case with a lesion and an activation" in printed


def test_the_same_command_writes_the_same_bytes(explain: Explain, tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        assert explain("--cases", 1, "--method", "gradcam++", "--layer", "4", "decoder") == 0
        written.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert written[0] == written[1] and len(written[0]) == 4
    assert b"gradcam++,encoder feature 4 decoder" in written[0]["explanations.csv"]


def test_other_images_are_explained_by_all_networks(
    sweep: Any, explain: Explain, rows: Rows, tmp_path: Path, capsys: Capture
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("benign (2).png", "benign (2)_mask.png"):
        shutil.copy(sweep.images / "benign" / name, data)
    shutil.copy(sweep.images / "benign" / "benign (2).png", data / "alone.png")
    (data / "broken.png").write_text("no image")
    assert explain("--image", data, "--layer", "3") == 1
    alone, known, broken = sorted(rows(), key=lambda row: ("alone", "benign (2)", "broken").index(row["case"][:-4]))
    assert known["lesion"] == "truth" and alone["lesion"] in ("prediction", "none") and "broken.png" in broken["error"]
    assert len(known["networks"].split()) == 2 and known["predicted"] == alone["predicted"]
    assert 0 < float(known["segmentation_inside"]) <= 1
    printed = capsys.readouterr().out
    assert "2 of 3 explained" in printed and "not explained: broken.png" in printed


def test_a_network_without_a_diagnosis_says_so() -> None:
    torch.manual_seed(0)
    network = Network("tu-test_resnet", ("unet", {"channels": (16,) * 5}), 3, classification_head=("none", {})).eval()
    ensemble = Ensemble((Member("one", "1", network, Preparation("[]", (64, 64))),), (), torch.device("cpu"))
    explainer = Explainer(ensemble)
    image = np.random.default_rng(0).integers(0, 255, (50, 70), np.uint8)
    truth = np.zeros((50, 70), bool)
    truth[20:30, 20:40] = True
    explanation = explainer.explain(image)
    assert set(explanation.activation) == {"segmentation"} and explanation.activation["segmentation"].shape == (50, 70)
    row = Row("x", "", **measured(explanation, truth, ()))  # type: ignore[arg-type]
    assert row.predicted == "" and row.lesion == "truth" and row.lesion_share == pytest.approx(200 / 3500)
    assert "The network has no classification head: only its segmentation is explained" in described(
        explainer, "gradcam"
    )


def test_a_mean_stands_beside_the_area_of_the_very_cases_that_it_is_of() -> None:
    rows = [
        Row("1", "benign", lesion="truth", lesion_share=0.1, diagnosis_inside=0.5, segmentation_inside=0.2),
        Row("2", "benign", lesion="truth", lesion_share=0.3, segmentation_inside=0.4),
        Row("3", "benign", error="broken"),
        Row("4", "normal", lesion="none", lesion_share=0.0),
    ]
    assert summary(rows) == [
        "benign (2): diagnosis 50.0 % inside 10.0 % of the area, 1 of them; "
        "segmentation 30.0 % inside 20.0 % of the area, 2 of them",
        "normal (1): no case with a lesion and an activation",
    ]


def test_a_sheet_is_never_too_long_to_look_at(explain: Explain, rows: Rows, tmp_path: Path, capsys: Capture) -> None:
    assert explain("--image", *[_copy(tmp_path / f"data/{number}.png") for number in range(MOST_ROWS + 1)]) == 0
    assert len(rows()) == MOST_ROWS + 1 and f"the first {MOST_ROWS} of {MOST_ROWS + 1} cases" in capsys.readouterr().out


def _copy(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((40, 40), 90, np.uint8))
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sweep", "tinny"), "did you mean 'tiny'?"),
        (("--layer", "encodr"), "did you mean 'encoder'?"),
        (("--layer", "classification_head"), "its output is no map"),
        (("--image", "missing.png"), "no such file or folder"),
        (("--run", "nonsense"), "no such run"),
        (("--output", "/dev/null/out"), "cannot be made"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(
    explain: Explain, arguments: tuple[str, ...], message: str, capsys: Capture
) -> None:
    assert explain(*arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err and "1 problem" in printed.err


def test_help_says_what_it_is_for(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0 and "python -m experiments.explain" in printed
    assert all(option in printed for option in ("--sweep", "--cases", "--image", "--method", "--layer", "--gpu"))
