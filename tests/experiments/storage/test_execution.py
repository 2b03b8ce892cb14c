"""Real training on machines that share nothing but a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.ledger import Ledger
from experiments.storage.depot import Depot
from experiments.storage.execution import StoredExecution
from experiments.storage.store import Store
from experiments.training.adjustments import Adjustments, OutOfMemoryError
from experiments.training.spec import RunSpec


def steps(spec: RunSpec, count: int) -> StoredExecution:
    """An attempt that has come so far; then its machine is gone."""
    execution = StoredExecution(spec)
    for _ in range(count):
        assert not execution.step().ended
    execution.close()
    return execution


def to_its_end(spec: RunSpec) -> int:
    """Executes a run to its end; in how many steps."""
    execution, count = StoredExecution(spec), 1
    while not execution.step().ended:
        count += 1
    return count


@pytest.mark.slow
def test_a_run_goes_on_from_its_epoch_elsewhere_and_ends_as_if_undisturbed(
    bench: Any, machines: Any, spec: RunSpec, on: Any, tmp_path: Path
) -> None:
    driver, second, third = machines
    on(second)
    steps(spec, 3)
    on(third)
    assert to_its_end(spec) == 1, "three of four epochs were done"
    assert not (driver.run / "record.json").exists()
    Depot(spec.storage or "", driver.results, "tiny").settle("aaaa", 0)
    undisturbed = replace(bench.spec(tmp_path / "undisturbed"), configuration="aaaa")
    bench.execute(undisturbed)
    assert bench.record(spec) == bench.record(undisturbed)
    assert bench.epochs(spec) == bench.epochs(undisturbed)
    assert Ledger(driver.results, "tiny").get("aaaa", 0) is not None
    attempts = (driver.run / "attempts.csv").read_text().splitlines()[1:]
    assert [line.rpartition(",")[2] for line in attempts] == ["1", "4"]
    assert (driver.run / "best.pt").exists() and not (driver.run / "last.pt").exists()


@pytest.mark.slow
def test_a_worker_thought_dead_that_comes_back_finds_the_record_and_stops(
    machines: Any, spec: RunSpec, folder_store: Store, on: Any
) -> None:
    _, second, third = machines
    spec = replace(spec, settings={**spec.settings, "training": {**spec.settings["training"], "epochs": 2}})
    on(second)
    lost = StoredExecution(spec)
    lost.step()
    on(third)
    to_its_end(spec)
    kept = folder_store.keys("records")
    assert lost.step().ended, "it committed a record, which is not the one that counts"
    assert folder_store.keys("records") == kept
    again = StoredExecution(spec)
    assert again.step().ended and again.step().ended


@pytest.mark.slow
def test_a_worker_thought_dead_stops_before_its_end_and_leaves_nothing(
    machines: Any, spec: RunSpec, folder_store: Store, on: Any
) -> None:
    _, second, third = machines
    on(second)
    lost = StoredExecution(spec)
    lost.step()
    on(third)
    to_its_end(spec)
    kept = folder_store.keys("records")
    assert lost.step().ended
    assert not (second.run / "record.json").exists()
    assert folder_store.keys("records") == kept


class Pauses(tuple[float, ...]):
    """The store comes back in the first pause."""

    place: Path

    def __iter__(self) -> Iterator[float]:
        yield 0.0
        self.place.unlink()
        self.place.with_name("moved").rename(self.place)
        yield 0.0


class Patient(StoredExecution):
    """Waits for the store of the test."""


@pytest.mark.slow
def test_a_store_that_is_away_for_a_while_costs_nothing(
    machines: Any, spec: RunSpec, folder_store: Store, on: Any, tmp_path: Path
) -> None:
    spec = replace(spec, settings={**spec.settings, "training": {**spec.settings["training"], "epochs": 3}})
    Patient.pauses = Pauses()
    Patient.pauses.place = tmp_path / "store"
    on(machines[1])
    execution = Patient(spec)
    execution.pauses = ()
    execution.step()
    (tmp_path / "store").rename(tmp_path / "moved")
    (tmp_path / "store").write_text("no folder")
    with pytest.warns(UserWarning, match="epoch 2 is not in the store"):
        assert not execution.step().ended
    del execution.pauses
    with pytest.warns(UserWarning, match="trying again"):
        assert execution.step().ended
    assert [key for key in folder_store.keys("records") if key.endswith("ended.json")]


class ShortOfMemory:
    """An execution that ends as `Execution` does where its memory does not suffice."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec

    def step(self) -> Any:
        adjusted = Adjustments.read(self.spec.folder).with_less_memory(8, "in epoch 1")
        assert adjusted is not None
        adjusted.write(self.spec.folder)
        raise OutOfMemoryError(adjusted.notes[-1])

    def close(self) -> None:
        pass


class StoredShortOfMemory(StoredExecution):
    training = ShortOfMemory


def test_what_a_run_out_of_memory_will_do_reaches_the_driver_and_the_next_machine(
    machines: Any, spec: RunSpec, on: Any
) -> None:
    driver, second, third = machines
    for machine, notes in ((second, 1), (third, 2)):
        on(machine)
        with pytest.raises(OutOfMemoryError):
            StoredShortOfMemory(spec).step()
        Depot(spec.storage or "", driver.results, "tiny").settle("aaaa", 0)
        assert len(Adjustments.read(driver.run).notes) == notes
