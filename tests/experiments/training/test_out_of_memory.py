"""A run that does not fit into memory starts again with less, and what it did about it is in its record.

The fault is that of the allocator of a device with so many bytes and no more; in the slow test that of a process whose
memory is limited. Every attempt is a fresh `Execution`, as it would be in its process.
"""

from __future__ import annotations

import contextlib
import csv
import gc
import json
import math
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.ledger import RunLock
from experiments.ledger.record import Record, read
from experiments.training.adjustments import ADJUSTMENTS_FILE, Adjustments, OutOfMemoryError
from experiments.training.execution import Execution
from experiments.training.spec import RunSpec
from tests.experiments.training.devices.confined import DIED, attempt, phantoms, spec_of
from tests.experiments.training.devices.device import Device
from utils.splits.folds import Fold

pytestmark = pytest.mark.slow

# Few weights, many activations and an optimizer without a state: a batch takes most of the memory, at every step.
CHANGES: dict[str, Any] = {
    "training.optimizer": "sgd",
    "training.momentum": 0.0,
    "training.epochs": 2,
    "training.augmentation": [],
    "model.encoder": {"unet_scratch": {"width": 4}},
    "model.decoder": {"unet": {"channels": [8] * 3, "depth": 3}},
}
HALF = "out of memory in epoch 1: micro-batch 2 of 4, for batch normalisation too"
QUARTER = "out of memory in epoch 1: micro-batch 1 of 4, for batch normalisation too"
AGAIN = "out of memory in epoch 1: activation checkpointing"
ALONE = "out of memory in epoch 1: alone, after all others"
RUNGS = (
    Adjustments(),
    Adjustments(micro_batch=2),
    Adjustments(micro_batch=1),
    Adjustments(micro_batch=1, checkpointing=True),
)


class Bench:
    """Runs of a few cases on such devices."""

    def __init__(self, bench: Any, folder: Path) -> None:
        fold = bench.fold
        of = {label: [case for case in fold.train if case.startswith(label)] for label in ("benign", "malignant")}
        steering = tuple(case for case in fold.validation if not case.startswith("normal"))[:2]
        self.bench, self.fold = bench, Fold(0, tuple(of["benign"][:2] + of["malignant"][:2]), steering, fold.test)
        self.split_file = bench.split_of(folder, self.fold)

    def spec(self, folder: Path, changes: dict[str, Any] | None = None) -> RunSpec:
        return self.bench.spec(folder, {**CHANGES, **(changes or {})}, split_file=self.split_file)

    def peak(self, spec: RunSpec, adjusted: Adjustments, folder: Path) -> int:
        """The most bytes of the run with these adjustments from the start, or from where it is."""
        copy = replace(spec, folder=Path(shutil.copytree(spec.folder, folder)))
        adjusted.write(copy.folder)
        with Device() as device:
            self.bench.execute(copy)
        return device.peak


@pytest.fixture(scope="module")
def tiny(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(bench, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def peaks(tiny: Bench, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """The most bytes at each of `RUNGS`."""
    folder = tmp_path_factory.mktemp("peaks")
    found = [
        tiny.peak(tiny.spec(folder / "spec"), adjusted, folder / str(number)) for number, adjusted in enumerate(RUNGS)
    ]
    assert found == sorted(found, reverse=True) and found[-1] < 0.95 * found[-2], "every rung takes less"
    return found


def between(peaks: list[int], rung: int) -> float:
    """Room for a rung and not for the one before it."""
    return (peaks[rung] + peaks[rung - 1]) / 2


def attempts(spec: RunSpec, room: Callable[[Adjustments], float]) -> list[str]:
    """Attempts until the run has its record; what each said that ended without one. room: bytes of the device."""
    said: list[str] = []
    while len(said) < 20:
        with Device(room(Adjustments.read(spec.folder))):
            execution = Execution(spec)
            try:
                while not execution.step().ended:
                    pass
                return said
            except OutOfMemoryError as error:
                said.append(str(error))
    raise AssertionError(f"does not end: {said}")


def first_epochs(spec: RunSpec) -> list[str]:
    with (spec.folder / "attempts.csv").open() as file:
        return [row["first_epoch"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("rung", "notes"),
    [(1, [HALF]), (2, [HALF, QUARTER]), (3, [HALF, QUARTER, AGAIN])],
    ids=["half", "a case at a time", "only with checkpointing"],
)
def test_it_goes_down_to_what_fits_and_is_the_run_that_began_there(
    tiny: Bench, peaks: list[int], tmp_path: Path, rung: int, notes: list[str]
) -> None:
    spec = tiny.spec(tmp_path / "climbed")
    assert attempts(spec, lambda adjusted: between(peaks, rung)) == notes
    record = read(spec.folder)
    assert record is not None and record.status == "complete" and record.adjustments == tuple(notes)
    assert first_epochs(spec) == ["1"] * (len(notes) + 1)

    below = replace(spec, folder=tmp_path / "there")
    below.folder.mkdir()
    RUNGS[rung].write(below.folder)
    tiny.bench.execute(below)
    ours, theirs = tiny.bench.record(spec), tiny.bench.record(below)
    assert {**ours, "adjustments": []} == theirs
    assert tiny.bench.epochs(spec) == tiny.bench.epochs(below)


def test_a_packed_run_first_gets_a_gpu_to_itself_and_comes_to_the_same(
    tiny: Bench, peaks: list[int], tmp_path: Path
) -> None:
    spec = replace(tiny.spec(tmp_path / "packed"), gpus=0.25, packed=True)
    said = attempts(spec, lambda adjusted: 2 * peaks[0] if adjusted.own_gpu else between(peaks, 1))
    assert said == ["out of memory in epoch 1: no other run on its GPU"]
    record = read(spec.folder)
    assert record is not None and record.status == "complete" and record.adjustments == tuple(said)
    undisturbed = tiny.spec(tmp_path / "undisturbed")
    tiny.bench.execute(undisturbed)
    ours, theirs = tiny.bench.record(spec), tiny.bench.record(undisturbed)
    assert {**ours, "adjustments": [], "gpus": 0.0} == theirs


def test_what_fits_only_where_nothing_else_runs_waits_for_that(tiny: Bench, peaks: list[int], tmp_path: Path) -> None:
    spec, neighbours = tiny.spec(tmp_path), peaks[0]
    room = attempts(spec, lambda adjusted: peaks[3] * 0.9 + (neighbours if adjusted.alone else 0))
    assert room == [HALF, QUARTER, AGAIN, ALONE]
    record = read(spec.folder)
    assert record is not None and record.status == "complete" and list(record.adjustments) == room


def test_what_never_fits_has_failed_and_says_what_was_tried(tiny: Bench, peaks: list[int], tmp_path: Path) -> None:
    spec = tiny.spec(tmp_path)
    assert attempts(spec, lambda adjusted: peaks[3] * 0.9) == [HALF, QUARTER, AGAIN, ALONE]
    record = read(spec.folder)
    assert record is not None and record.status == "failed"
    assert record.adjustments == (HALF, QUARTER, AGAIN, ALONE)
    assert record.error.startswith("out of memory in spite of all adjustments: OutOfMemoryError: CUDA out of memory. ")
    assert "\n" not in record.error
    assert "Traceback" in (tmp_path / "error.txt").read_text()


def test_weights_that_do_not_fit_are_tried_alone_at_once(tiny: Bench, tmp_path: Path) -> None:
    spec = tiny.spec(tmp_path)
    said = attempts(spec, lambda adjusted: math.inf if adjusted.alone else 20_000)
    assert said == ["out of memory at the start: alone, after all others"]
    record = read(spec.folder)
    assert record is not None and record.status == "complete" and list(record.adjustments) == said


def test_out_of_memory_in_the_test_trains_nothing_again(tiny: Bench, tmp_path: Path) -> None:
    spec = tiny.spec(tmp_path / "run")
    run = tiny.bench.train(spec, tiny.fold)
    trained = {path: path.read_bytes() for path in spec.folder.glob("best.pt")}
    peaks = [tiny.peak(spec, one, tmp_path / str(number)) for number, one in enumerate(RUNGS[:2])]
    said = attempts(spec, lambda adjusted: between(peaks, 1))
    assert said == ["out of memory in the test: micro-batch 2 of 4"]
    record = read(spec.folder)
    assert record is not None and record.status == "complete" and list(record.adjustments) == said
    assert record.epochs == len(run.history) and first_epochs(spec) == ["3", "3"]
    assert {path: path.read_bytes() for path in spec.folder.glob("best.pt")} == trained


def test_a_later_rung_goes_on_from_the_last_epoch_and_keeps_the_rungs_before(
    tiny: Bench, peaks: list[int], tmp_path: Path
) -> None:
    spec = tiny.spec(tmp_path)
    for outcome in (OutOfMemoryError, None):
        with Device(between(peaks, 1)):
            execution = Execution(spec)
            if outcome is not None:
                with pytest.raises(outcome):
                    execution.step()
            else:
                assert execution.step().epoch == 1
            execution.close()
    second = QUARTER.replace("epoch 1", "epoch 2")
    assert attempts(spec, lambda adjusted: between(peaks, 2)) == [second]
    record = read(spec.folder)
    assert record is not None and record.status == "complete" and record.adjustments == (HALF, second)
    assert first_epochs(spec) == ["1", "1", "2", "2"]
    assert [row["epoch"] for row in tiny.bench.epochs(spec)] == ["1", "2"]


def test_a_checkpoint_whose_adjustments_are_lost_is_not_gone_on_from(
    tiny: Bench, peaks: list[int], tmp_path: Path
) -> None:
    """Else the record would not say that its first epoch saw smaller batches."""
    spec = tiny.spec(tmp_path)
    for _ in range(2):
        with Device(between(peaks, 1)):
            execution = Execution(spec)
            with contextlib.suppress(OutOfMemoryError):
                execution.step()
            execution.close()
    (tmp_path / ADJUSTMENTS_FILE).unlink()
    with pytest.warns(UserWarning, match="adjustments that are lost; starting over"):
        tiny.bench.execute(spec)
    record = read(spec.folder)
    assert record is not None and record.status == "complete" and record.adjustments == ()
    assert first_epochs(spec) == ["1", "1", "1"]


def test_where_batch_normalisation_cannot_train_on_one_case_it_gets_two(tiny: Bench, tmp_path: Path) -> None:
    """At a depth of five the features of 32 pixels are a single one."""
    spec = tiny.spec(tmp_path, {"model.decoder": {"unet": {"channels": [8] * 5}}})
    Adjustments(micro_batch=1, notes=("before",)).write(spec.folder)
    said = attempts(spec, lambda adjusted: math.inf)
    assert said == ["one case is too few for batch normalisation: micro-batch 2 of 4, activation checkpointing"]
    record = read(spec.folder)
    assert record is not None and record.status == "complete" and record.adjustments == ("before", *said)


def test_where_the_batch_itself_is_of_one_case_the_run_has_failed(tiny: Bench, tmp_path: Path) -> None:
    changes = {"model.decoder": {"unet": {"channels": [8] * 5}}, "training.batch_size": 1}
    spec = tiny.spec(tmp_path, changes)
    assert attempts(spec, lambda adjusted: math.inf) == []
    record = read(spec.folder)
    assert record is not None and record.status == "failed" and record.adjustments == ()
    assert record.error.startswith("ValueError: Expected more than 1 value per channel")


def test_the_attempt_lets_go_of_its_memory_and_of_its_lock(tiny: Bench, peaks: list[int], tmp_path: Path) -> None:
    """A process that is being ended must not be in the way of the one that goes on."""
    spec = tiny.spec(tmp_path)
    with Device(between(peaks, 1)) as device:
        with pytest.raises(OutOfMemoryError) as caught:
            Execution(spec).step()
        gc.collect()
        assert caught.value is not None and device.now < 0.02 * device.peak
    lock = RunLock(spec.folder, patience=0)
    lock.acquire()
    lock.release()
    assert json.loads((spec.folder / ADJUSTMENTS_FILE).read_text())["micro_batch"] == 2
    assert not (spec.folder / "record.json").exists()


ROOM = 170
"""Mebibytes: less than the whole batch of 16 takes, more than a few cases do."""


def confined_settings(batch_size: int, seed: int = 1) -> dict[str, Any]:
    return {
        "dataset": {"name": "phantom", "image_size": 96},
        "model": {
            "encoder": {"unet_scratch": {"width": 16}},
            "encoder_weights": "none",
            "decoder": {"unet": {"channels": [64, 32, 16, 16], "depth": 4}},
            "classification_head": False,
        },
        "training": {"epochs": 6, "batch_size": batch_size, "lr": 0.003, "seed": seed},
    }


def record_of(spec: RunSpec) -> Record:
    record = read(spec.folder)
    assert record is not None and record.status == "complete", record
    return record


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the private memory of a process")
def test_on_the_cpu_a_batch_that_is_too_large_is_trained_in_parts(bench: Any, tmp_path: Path) -> None:
    data = phantoms(tmp_path / "data", 96, 40)
    spec, said = spec_of(tmp_path / "large", data, confined_settings(16)), [""]
    while said[-1] != "ended":
        said.append(attempt(spec, ROOM)[1])
        assert said.count(DIED) <= 2 and len(said) < 12, said
    record = record_of(spec)
    assert record.adjustments[0] == "out of memory in epoch 1: micro-batch 8 of 16, for batch normalisation too"
    assert set(said) <= {"", DIED, "ended", *record.adjustments}

    dice = []
    for seed in (1, 2, 3):
        reached = Adjustments.read(spec.folder).micro_batch
        assert reached is not None
        small = spec_of(tmp_path / str(seed), data, confined_settings(reached, seed))
        bench.execute(small)
        dice.append(record_of(small).metrics["dice"] or 0.0)
    noise = max(3 * statistics.stdev(dice), 0.15)
    assert record.metrics["dice"] == pytest.approx(statistics.mean(dice), abs=noise)
