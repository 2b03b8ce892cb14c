"""Runs that are out of memory, executed by a real Ray: again in a process of their own, and alone in the end."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.console.interruption import Interruption
from experiments.driver import Driver, Wishes
from experiments.ledger.record import read
from experiments.scheduling import Run, RunQueue
from experiments.scheduling.cluster import execute, ray_cluster
from experiments.sweep import load_sweep
from tests.experiments.scheduling.test_cluster import Sweep

PROJECT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.slow

SWEEP = """
name: hungry
dataset: {name: phantom, image_size: 32, options: {cases: 24, height: 64, width: 64}}
folds: {k: 2, use: 1}
model:
  encoder: {unet_scratch: {width: 4}}
  encoder_weights: none
  decoder: {unet: {channels: [8, 8, 8], depth: 3}}
training: {epochs: 2, optimizer: sgd, momentum: 0.0}
search: {grid: {training.batch_size: [4, 1]}}
resources: {cpus: 1, gpus: 0}
"""


class Hungry(Sweep):
    """Each run is out of memory as often as `rungs` says."""

    def __init__(self, folder: Path, rungs: dict[Run, int]) -> None:
        super().__init__(folder, list(rungs))
        self.rungs = rungs

    def execute_all(self) -> None:
        """With no crash allowed."""
        queue, name = RunQueue(self.runs, retries=0), "hungry:Hungry"
        execute(queue, self, self.describe, cpus=1, gpus=0, slots=None, check=int, execution=name)
        assert queue.exhausted

    def describe(self, run: Run) -> dict[str, Any]:
        spec = super().describe(run)
        spec["settings"]["rungs"] = self.rungs[run]
        return spec


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find what the tests have them execute."""
    paths = [PROJECT / "tests" / "experiments" / "scheduling", PROJECT]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.usefixtures("importable")
def test_out_of_memory_is_no_crash_and_the_next_attempt_has_a_process_of_its_own(tmp_path: Path) -> None:
    once, alone, plain = Run("once", 0), Run("alone", 0), [Run("plain", fold) for fold in range(4)]
    sweep = Hungry(tmp_path, {alone: 2, once: 1, **dict.fromkeys(plain, 0)})
    with ray_cluster(None):
        sweep.execute_all()
    assert sorted(sweep.of("ended")) == sorted(sweep.runs)
    assert not sweep.of("crashed")
    said = [event[1:] for event in sweep.events if event[0] == "adjusted"]
    again, apart = (
        "out of memory in epoch 1: activation checkpointing",
        "out of memory in epoch 1: alone, after all others",
    )
    assert sorted(said) == [(alone, again), (alone, apart), (once, again)]

    processes = {run: sweep.attempts(run) for run in sweep.runs}
    assert [len(processes[run]) for run in (alone, once, *plain)] == [3, 2, 1, 1, 1, 1]
    for run in (alone, once):
        first, *later = processes[run]
        others = [process for other in sweep.runs if other != run for process in processes[other]]
        assert first not in later and not set(later).intersection(others), "what has been used is not used again"
        assert len(set(later)) == len(later)

    assert sweep.of("ended")[-1] == sweep.of("started")[-1] == alone
    *before, last = sorted(sweep.traces(), key=lambda trace: trace["began"])
    assert max(trace["ended"] for trace in before) <= last["began"], "something else ran beside it"


@pytest.mark.usefixtures("importable")
def test_the_driver_brings_a_sweep_to_its_end_on_a_device_that_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "hungry.yaml").write_text(SWEEP, encoding="utf-8")
    sweep, said = load_sweep(tmp_path / "hungry.yaml"), io.StringIO()
    with Interruption() as interruption:
        console = Console(file=said, width=300)
        driver = Driver(
            sweep, tmp_path / "results", console, interruption, Wishes(report=False), execution="small_device:Confined"
        )
        assert driver.run() == 0
    with (tmp_path / "results" / "hungry.csv").open(newline="") as file:
        rows = {row["training.batch_size"]: row for row in csv.DictReader(file)}
    notes = [f"out of memory in epoch 1: micro-batch {half} of 4, for batch normalisation too" for half in (2, 1)]
    assert {size: row["status"] for size, row in rows.items()} == {"4": "complete", "1": "complete"}
    assert rows["1"]["adjustments"] == "" and all(note in rows["4"]["adjustments"] for note in notes)
    [folder] = (tmp_path / "results" / "runs" / "hungry").glob(f"{rows['4']['configuration']}*/fold-0")
    record = read(folder)
    assert record is not None and list(record.adjustments) == notes
    assert len(set((folder / "processes").read_text().split())) == 3
    assert json.loads((folder / "adjustments.json").read_text())["micro_batch"] == 1
    assert all(f"{note}; it starts again" in said.getvalue() for note in notes)
    assert "its worker died" not in said.getvalue()
