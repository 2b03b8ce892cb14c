"""The finished sweep of the tests of prediction, and a desk with some of its images."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.prediction import open_ensemble, select_runs
from experiments.prediction.images.sources import find_images
from experiments.prediction.images.truth import TrueMasks
from experiments.prediction.preparation import reader_of
from experiments.viewer import Desk

_PREDICTION = runpy.run_path(str(Path(__file__).parents[1] / "prediction" / "conftest.py"))

bench, threads, sweep = (_PREDICTION[name] for name in ("bench", "threads", "sweep"))


@pytest.fixture
def images(sweep: Any, tmp_path: Path) -> Path:
    """Three images: two with a true mask, and one that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(("benign/benign (2)", "malignant/malignant (1)"), 1):
        for ending in (".png", "_mask.png"):
            shutil.copy(sweep.images / f"{name}{ending}", folder / f"{number}{ending}")
    (folder / "3.png").write_text("no image")
    return folder


@pytest.fixture
def desk(sweep: Any, images: Path, tmp_path: Path) -> Desk:
    selection = select_runs(sweep.results, "tiny")
    ensemble = open_ensemble(selection, torch.device("cpu"))
    sources = find_images([str(images)], tmp_path / "out").sources
    return Desk(ensemble, sources, TrueMasks(), reader_of(selection.runs[0].settings))
