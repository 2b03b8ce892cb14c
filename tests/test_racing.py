"""A race with real runs: they pause, the worse stop, the others go on where they were."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RACE = """\
name: raced
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
folds: {k: 2}
model: {encoder_weights: none, encoder: shufflenet_v2_x0_5, batch_norm_momentum: 0.3}
training: {epochs: 4, batch_size: 8}
resources: {cpus: 1, gpus: 0}
racing: {enabled: true, epochs: asha, margin: 0.5}
search: {grid: {training.lr: [1.0e-2, 1.0e-3, 5.0e-3, 2.0e-3, 1.0e-7]}}
"""


@pytest.mark.slow
def test_a_race_that_halves_and_the_same_runs_without_a_pause(workspace_in: Callable[..., Any], tmp_path: Path) -> None:
    raced = workspace_in(tmp_path / "raced", RACE) if (tmp_path / "raced").mkdir() is None else None
    said = raced.run("--no-report")
    assert "8 of 8 runs complete; 1 of 5 configurations were raced out" in said
    with (raced.results / "raced.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["complete"] * 4 + ["raced_out"]
    before = raced.records()
    assert "8 done already" in raced.run("--no-report") and raced.records() == before
    (tmp_path / "whole").mkdir()
    whole = workspace_in(tmp_path / "whole", RACE)
    whole.run("--no-report", "--set", "racing.enabled=false")
    for name, tables in (("cases.csv", raced.runs("cases.csv")),):
        others = whole.runs(name)
        assert {run: path.read_bytes() for run, path in tables.items()} == {
            run: others[run].read_bytes() for run in tables
        }
