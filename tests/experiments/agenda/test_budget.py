"""A budget: what it does not allow waits, and the same command with a larger one goes on."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.estimates import seconds_of
from experiments.ledger.record import Record, read

SWEEP = """\
name: thrifty
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
folds: {k: 3}
model: {encoder_weights: none, encoder: shufflenet_v2_x0_5}
training: {epochs: 2, batch_size: 8}
resources: {cpus: 1, gpus: 0, slots: 1}
search: {grid: {training.lr: [1.0e-3, 3.0e-3, 1.0e-2]}, budget: {gpu_hours: 1000}}
"""


@pytest.mark.slow
def test_a_budget_is_kept_and_a_larger_one_goes_on(workspace_in: Callable[..., Any], tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path, SWEEP)
    said = workspace.run("--set", "search.budget.gpu_hours=1.0e-9")  # allows the first run, of which nobody knows
    assert "1 of 9 runs complete" in said
    assert "The budget of 1e-09 GPU-hours allows no further run: 8 runs wait, 3 configurations are undecided;" in said
    assert statuses(workspace) == ["pending"] * 3
    page = next(workspace.results.glob("thrifty*.html")).read_text()
    assert "Undecided within the budget of 1e-09 GPU-hours: 3 configurations, which have not run on every fold." in page

    assert "1 of 9 runs complete" in workspace.run("--no-report", "--set", "search.budget.gpu_hours=1.0e-9")

    [first] = records(workspace)
    limit = 2.5 * seconds_of(first)
    workspace.run("--no-report", "--set", f"search.budget.gpu_hours={limit / 3600}")
    some = records(workspace)
    assert len(some) > 1
    # A look at everyone comes before anyone's second fold, and when the last run began the limit was not reached.
    assert {record.fold for record in some} == {0} or [record.fold for record in some].count(0) == 3
    assert sum(map(seconds_of, some)) - max(map(seconds_of, some)) <= limit

    assert "9 of 9 runs complete" in workspace.run("--no-report")
    assert statuses(workspace) == ["complete"] * 3


def records(workspace: Any) -> list[Record]:
    found = [read(path.parent) for path in workspace.runs("record.json").values()]
    return [record for record in found if record is not None]


def statuses(workspace: Any) -> list[str]:
    with (workspace.results / "thrifty.csv").open(newline="", encoding="utf-8") as file:
        return [row["status"] for row in csv.DictReader(file)]
