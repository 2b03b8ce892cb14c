"""Many images through an ensemble: one that cannot be prepared costs its neighbours nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from experiments.prediction import Ensemble, open_ensemble, select_runs
from experiments.prediction.images.flow import Flow, Wishes
from experiments.prediction.images.sources import find_images
from experiments.prediction.images.truth import TrueMasks
from utils.identity import canonical_json
from utils.images.phantoms import phantom
from utils.images.preprocessing import PREPROCESSING
from utils.images.reading import read_image


def test_an_image_that_a_step_cannot_take_is_reported_and_the_rest_of_its_batch_answered(
    sweep: Any, tmp_path: Path
) -> None:
    ensemble = open_ensemble(select_runs(sweep.results, "tiny"), torch.device("cpu"))
    preparation = ensemble.members[0].preparation
    options = PREPROCESSING.check("glcm_channels", {})
    textured = replace(preparation, steps=preparation.steps[:-1] + f',["glcm_channels",{canonical_json(options)}]]')
    members = tuple(replace(member, preparation=textured) for member in ensemble.members)
    asked = Ensemble(members, ensemble.classes, ensemble.device)
    images = tmp_path / "images"
    images.mkdir()
    grey, coloured = phantom("benign", 5, 70, 90)[0], np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
    for name, picture in (("a", grey), ("b", coloured), ("c", grey)):
        cv2.imwrite(str(images / f"{name}.png"), picture)
    output = tmp_path / "out"
    output.mkdir()
    sources = find_images([str(images)], output).sources
    flow = Flow(asked, Wishes(kinds=("mask",)), output, TrueMasks(), read_image)
    rows = {row["image"]: row for row in flow.run(sources, 1, lambda: None)}
    assert len(rows) == 3
    assert [bool(row["error"]) for _, row in sorted(rows.items())] == [False, True, False]
    assert "grey" in rows[sources[1].name]["error"]
    assert len(list(output.rglob("*_mask.png"))) == 2


def test_clahe_comes_before_the_texture_channels(sweep: Any) -> None:
    preparation = open_ensemble(select_runs(sweep.results, "tiny"), torch.device("cpu")).members[0].preparation
    textured = replace(preparation, steps='[["glcm_channels",{}]]').with_clip_limit(2.0)
    assert [name for name, _ in textured.parts] == ["clahe", "glcm_channels"]
