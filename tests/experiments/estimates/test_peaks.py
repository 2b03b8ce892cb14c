"""Where the peak of a run's memory on a GPU is known from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.estimates import Peaks, measured_peaks
from experiments.estimates.peaks import memory_key
from experiments.ledger import Ledger, Record
from experiments.ledger.record import commit
from experiments.preparation import PlannedConfiguration, open_sources, survey
from experiments.sweep import Sweep, nested

MIB = 2**20


@pytest.fixture
def planned(finished_sweep: Callable[..., Sweep]) -> PlannedConfiguration:
    sweep = finished_sweep({"a": 0.5}, runs=0)
    [one] = survey(sweep, open_sources(sweep, lambda stage, done, total: None)).planned
    return one


def commit_run(results: Path, planned: PlannedConfiguration, fold: int, mebibytes: float, **values: Any) -> None:
    ledger = Ledger(results, values.pop("sweep", "made"))
    folder = ledger.folder(values.pop("configuration", planned.id), fold)
    folder.mkdir(parents=True)
    settings = nested(planned.configuration.settings)
    common = {"sweep": ledger.sweep, "configuration": planned.id, "fold": fold, "code": "", "data": "", "split": ""}
    origin = {"device": "NVIDIA H100 80GB HBM3", "status": "complete", "settings": settings, **values}
    commit(Record(**common, **origin, seed=0, peak_memory_mb=mebibytes), folder)


def peaks(results: Path, planned: PlannedConfiguration) -> Peaks:
    ledger = Ledger(results, "made")
    return Peaks({planned.id: planned}, {planned.id: 7}.get, ledger.get, measured_peaks(results))


def test_at_first_there_is_the_estimate(tmp_path: Path, planned: PlannedConfiguration) -> None:
    assert peaks(tmp_path, planned).of(planned.id) == 7


def test_what_own_folds_took_is_known_best(tmp_path: Path, planned: PlannedConfiguration) -> None:
    commit_run(tmp_path, planned, 0, 100.0)
    commit_run(tmp_path, planned, 1, 120.0)
    commit_run(tmp_path, planned, 0, 900.0, sweep="earlier")
    assert peaks(tmp_path, planned).of(planned.id) == 120 * MIB


def test_an_earlier_sweep_has_measured_the_same_network(tmp_path: Path, planned: PlannedConfiguration) -> None:
    settings = nested(planned.configuration.settings)
    settings["training"] |= {"lr": 0.5, "seed": 99, "epochs": 1}
    commit_run(tmp_path, planned, 0, 300.0, sweep="earlier", configuration="other", settings=settings)
    assert peaks(tmp_path, planned).of(planned.id) == 300 * MIB
    settings["training"]["batch_size"] += 1
    assert memory_key(settings) != memory_key(nested(planned.configuration.settings))


@pytest.mark.parametrize(
    "values", [{"device": "cpu: made"}, {"adjustments": ("micro-batch 4 of 8",)}, {"status": "failed"}]
)
def test_what_was_no_whole_run_on_a_gpu_says_nothing(
    tmp_path: Path, planned: PlannedConfiguration, values: dict[str, Any]
) -> None:
    commit_run(tmp_path, planned, 0, 300.0, **values)
    assert measured_peaks(tmp_path) == {}
    assert peaks(tmp_path, planned).of(planned.id) == 7


def test_a_damaged_record_of_another_sweep_is_passed_over(tmp_path: Path, planned: PlannedConfiguration) -> None:
    for fold, text in enumerate(("{", "[]", json.dumps({"device": "NVIDIA"}))):
        folder = tmp_path / "runs" / "broken" / "c" / f"fold-{fold}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(text)
    commit_run(tmp_path, planned, 0, 50.0, sweep="sound")
    assert list(measured_peaks(tmp_path).values()) == [50 * MIB]
