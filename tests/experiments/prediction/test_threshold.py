"""The threshold comes from validation cases, each answered by a network that was not trained on it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.prediction import Inference, open_ensemble, select_runs
from experiments.prediction.threshold import GRID, _dice, validation_threshold
from utils.errors import UserError
from utils.metrics import case_scores


def test_dice_at_every_threshold_is_that_of_the_metric() -> None:
    rng = np.random.default_rng(3)
    probability = rng.choice(np.array([0, 0.05, 0.3, 0.5, 0.77, 1], np.float32), (12, 9))
    mask = rng.random((12, 9)) < 0.4
    expected = [case_scores(probability > np.float32(threshold), mask)["dice"] for threshold in GRID]
    assert _dice(probability, mask) == pytest.approx(expected)


def test_it_has_the_highest_mean_dice_over_the_validation_cases(sweep: Any, bench: Any) -> None:
    selection = select_runs(sweep.results, "tiny", f"{sweep.configuration}/fold-0")
    ensemble = open_ensemble(selection, torch.device("cpu"))
    found = validation_threshold(selection.runs, ensemble, Inference(), sweep.results)
    cases = {case.id: case for case in bench.dataset.cases()}
    answers = []
    for id in bench.fold.validation:
        mask = bench.dataset.read_mask(cases[id]).astype(bool)
        if mask.any():
            answers.append((ensemble.predict(bench.dataset.read_image(cases[id])).probability, mask))
    means = [
        np.mean([case_scores(probability > np.float32(threshold), mask)["dice"] for probability, mask in answers])
        for threshold in GRID
    ]
    assert found.cases == len(answers)
    assert found.dice == pytest.approx(max(means), abs=1e-3)
    assert means[GRID.index(found.value)] == pytest.approx(max(means), abs=1e-3)


def test_every_member_answers_its_own_validation_cases(sweep: Any) -> None:
    selection = select_runs(sweep.results, "tiny")
    ensemble = open_ensemble(selection, torch.device("cpu"))
    one = validation_threshold(
        selection.runs[:1],
        open_ensemble(select_runs(sweep.results, "tiny", f"{sweep.configuration}/fold-0"), torch.device("cpu")),
        Inference(),
        sweep.results,
    )
    both = validation_threshold(selection.runs, ensemble, Inference(), sweep.results)
    assert both.cases == 2 * one.cases


def test_without_the_folds_nobody_knows_what_was_validation(sweep: Any, tmp_path: Path) -> None:
    results = Path(shutil.copytree(sweep.results, tmp_path / "results"))
    shutil.rmtree(results / "runs" / "tiny" / "splits")
    selection = select_runs(results, "tiny")
    with pytest.raises(UserError, match="with them what was validation"):
        validation_threshold(selection.runs, open_ensemble(selection, torch.device("cpu")), Inference(), results)
