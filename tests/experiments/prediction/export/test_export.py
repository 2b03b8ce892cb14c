"""An exported file answers as PyTorch does, says how it is fed, and is not written where it does not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.prediction import Ensemble, open_ensemble, select_runs
from experiments.prediction.export import exporting
from experiments.prediction.export.exporting import as_input, export_ensemble
from experiments.prediction.export.formats import (
    METADATA,
    onnx_answers,
    save_onnx,
    save_torchscript,
    torchscript_answers,
)
from experiments.prediction.export.module import EnsembleModule
from models.decoders import DECODERS
from models.network import Network
from utils.errors import UserError
from utils.images.phantoms import phantom


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_torchscript_answers_as_the_ensemble_and_tells_how_it_is_fed(
    sweep: Any, predict: Callable[..., int], tmp_path: Path
) -> None:
    assert predict("--export", "torchscript") == 0
    path = tmp_path / "out" / "tiny.pt"
    assert [each.name for each in path.parent.iterdir()] == ["tiny.pt"]
    extra = {METADATA: ""}
    torch.jit.load(str(path), _extra_files=extra)
    told = json.loads(extra[METADATA])
    assert told["classes"] == ["benign", "malignant", "normal"]
    assert told["input"]["shape"] == ["batch", 3, 32, 32]
    assert told["input"]["preparation"]["preprocessing"] == [{"name": "median", "options": {"size": 3}}]
    assert len(told["members"]) == 2
    ensemble = open_ensemble(select_runs(sweep.results, "tiny"), torch.device("cpu"))
    image = phantom("malignant", 3, 80, 80)[0][:32, :32]
    prepared = ensemble.members[0].preparation(image)
    probability, classes = torchscript_answers(path)(as_input([prepared]).numpy())
    expected = ensemble.predict(image)
    assert probability[0, 0] == pytest.approx(expected.probability, abs=1e-4)
    assert classes[0] == pytest.approx(expected.classes, abs=1e-4)


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_not_written(
    sweep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = select_runs(sweep.results, "tiny")
    ensemble = open_ensemble(selection, torch.device("cpu"))
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match=r"differs from PyTorch by .*; not written"):
        export_ensemble(ensemble, selection, "torchscript", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_members_that_see_other_images_do_not_fit_into_one_file(sweep: Any, tmp_path: Path) -> None:
    selection = select_runs(sweep.results, "tiny")
    ensemble = open_ensemble(selection, torch.device("cpu"))
    first, second = ensemble.members
    mixed = Ensemble(
        (first, replace(second, preparation=second.preparation.with_side(64))), ensemble.classes, ensemble.device
    )
    with pytest.raises(UserError, match="differently prepared images"):
        export_ensemble(mixed, selection, "torchscript", tmp_path)


def test_a_missing_library_is_named(
    predict: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert predict("--export", "onnx") == 2
    assert "pip install segmentation-sweeps[export]" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_onnx_answers_as_the_ensemble(sweep: Any, predict: Callable[..., int], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert predict("--export", "onnx") == 0
    path = tmp_path / "out" / "tiny.onnx"
    [told] = [json.loads(each.value) for each in onnx.load(str(path)).metadata_props if each.key == METADATA]
    assert told["sweep"] == "tiny" and told["combination"] == "logits averaged"
    ensemble = open_ensemble(select_runs(sweep.results, "tiny"), torch.device("cpu"))
    images = [phantom("benign", seed, 80, 80)[0][:32, :32] for seed in range(5)]
    inputs = as_input([ensemble.members[0].preparation(image) for image in images]).numpy()
    probability, classes = onnx_answers(path)(inputs)
    for row, image in enumerate(images):
        expected = ensemble.predict(image)
        assert probability[row, 0] == pytest.approx(expected.probability, abs=1e-4)
        assert classes[row] == pytest.approx(expected.classes, abs=1e-4)


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    return as_input([phantom("malignant", seed, 80, 80)[0][:64, :64] for seed in range(3)])


def module_of(decoder: str) -> EnsembleModule:
    torch.manual_seed(1)
    return EnsembleModule([Network("resnet18", (decoder, {}), classes=3).eval()]).eval()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_decoder_answers_the_same_in_torchscript(batch: torch.Tensor, tmp_path: Path) -> None:
    differences = {}
    for decoder in DECODERS:
        module, path = module_of(decoder), tmp_path / f"{decoder}.pt"
        save_torchscript(module, batch[:2], path, "{}")
        differences[decoder] = difference(module, torchscript_answers(path), batch)
    assert max(differences.values()) <= 1e-4, differences


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("decoder", list(DECODERS))
def test_every_decoder_answers_the_same_in_onnx(decoder: str, batch: torch.Tensor, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    module, path = module_of(decoder), tmp_path / "network.onnx"
    save_onnx(module, batch[:2], path, "{}")
    assert difference(module, onnx_answers(path), batch) <= 1e-4


def difference(module: EnsembleModule, answers: Callable[[np.ndarray], list[np.ndarray]], batch: torch.Tensor) -> float:
    with torch.inference_mode():
        expected = [each.numpy() for each in module(batch)]
    found = answers(batch.numpy())
    return max(float(np.abs(one - other).max()) for one, other in zip(expected, found, strict=True))
