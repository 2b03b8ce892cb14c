"""Ledger and store are at one: what ended anywhere is in both, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.ledger import Ledger
from experiments.ledger.record import Record, commit
from experiments.storage.depot import Depot, StoreLost
from experiments.storage.store import Store, StoreError
from experiments.storage.stored_run import records_of
from experiments.training.adjustments import Adjustments


def end(machine: Any, device: str, status: Any = "complete") -> Record:
    """Ends the run on a machine."""
    made = Record(
        **{"sweep": "tiny", "configuration": "aaaa", "fold": 0, "status": status, "device": device},
        **{"code": "1", "data": "d", "split": "s", "seed": 1},
    )
    machine.train(3, device)
    commit(made, machine.run)
    return made


def depot(store: Store, machine: Any) -> Depot:
    return Depot(store.url, machine.results, "tiny", pauses=())


def ledger(machine: Any) -> Ledger:
    return Ledger(machine.results, "tiny")


def test_a_record_made_elsewhere_comes_into_the_ledger_with_its_files(folder_store: Store, machines: Any) -> None:
    driver, second, _ = machines
    record = end(second, "second")
    second.stored(folder_store).put_end()
    depot(folder_store, driver).settle("aaaa", 0)
    assert ledger(driver).get("aaaa", 0) == record
    assert driver.files()["best.pt"] == second.files()["best.pt"]
    # Settled once, the store is not asked again.
    folder_store.delete(folder_store.keys("records"))
    depot(folder_store, driver).settle("aaaa", 0)


def test_nothing_comes_of_a_run_that_has_not_ended_but_what_it_has_adjusted(folder_store: Store, machines: Any) -> None:
    driver, second, _ = machines
    second.train(2)
    adjusted = Adjustments().with_less_memory(8, "in epoch 2")
    assert adjusted is not None
    adjusted.write(second.run)
    second.stored(folder_store).put_state()
    depot(folder_store, driver).settle("aaaa", 0)
    assert ledger(driver).get("aaaa", 0) is None
    assert list(driver.files()) == ["adjustments.json"]
    assert Adjustments.read(driver.run) == adjusted


def test_a_record_that_the_driver_has_made_is_told_to_the_store(folder_store: Store, machines: Any) -> None:
    driver, second, _ = machines
    record = end(driver, "driver", "failed")
    depot(folder_store, driver).settle("aaaa", 0)
    assert records_of(folder_store, "tiny") == [("aaaa", 0)]
    depot(folder_store, second).collect()
    assert ledger(second).get("aaaa", 0) == record


def test_of_two_records_the_one_in_the_store_counts(folder_store: Store, machines: Any) -> None:
    driver, second, _ = machines
    record = end(second, "second")
    second.stored(folder_store).put_end()
    end(driver, "driver", "failed")  # its worker had been given up, and yet it came to its end
    depot(folder_store, driver).settle("aaaa", 0)
    assert ledger(driver).get("aaaa", 0) == record


def test_collecting_brings_both_to_the_same_records(folder_store: Store, machines: Any) -> None:
    driver, second, third = machines
    mine = end(driver, "driver")
    other = end(second, "second").model_copy(update={"fold": 1})
    second.run.rename(second.run.with_name("fold-1"))
    commit(other, second.run.with_name("fold-1"))
    depot(folder_store, second).collect()
    for _ in range(2):
        depot(folder_store, driver).collect()
        assert ledger(driver).records([("aaaa", 0), ("aaaa", 1)]) == {("aaaa", 0): mine, ("aaaa", 1): other}
    depot(folder_store, third).collect()
    assert ledger(third).records([("aaaa", 0), ("aaaa", 1)]) == {("aaaa", 0): mine, ("aaaa", 1): other}


def test_a_damaged_record_of_the_ledger_is_mended_from_the_store(folder_store: Store, machines: Any) -> None:
    driver, _, _ = machines
    record = end(driver, "driver")
    depot(folder_store, driver).collect()
    (driver.run / "record.json").write_text("{")
    depot(folder_store, driver).collect()
    assert ledger(driver).get("aaaa", 0) == record


def test_a_record_that_the_store_has_lost_half_of_is_forgotten_there(folder_store: Store, machines: Any) -> None:
    driver, second, _ = machines
    end(second, "second")
    second.stored(folder_store).put_end()
    [best] = [key for key in folder_store.keys("records") if key.endswith("best.pt")]
    folder_store.delete([best])
    with pytest.warns(UserWarning, match="will be repeated"):
        depot(folder_store, driver).collect()
    assert ledger(driver).get("aaaa", 0) is None
    assert folder_store.keys("records") == []


def test_a_failed_run_that_is_repeated_is_forgotten_in_both(folder_store: Store, machines: Any) -> None:
    driver, _, _ = machines
    end(driver, "driver", "failed")
    keeper, records = depot(folder_store, driver), ledger(driver)
    keeper.collect()
    records.get("aaaa", 0)
    keeper.forget("aaaa", 0)
    records.forget_failure("aaaa", 0)
    keeper.collect()
    assert ledger(driver).get("aaaa", 0) is None and folder_store.keys("records") == []


def test_what_a_search_has_drawn_is_drawn_on_another_machine_too(folder_store: Store, machines: Any, spec: Any) -> None:
    driver, second, _ = machines
    proposals = driver.results / "runs" / "tiny" / "proposals.jsonl"
    proposals.write_text(json.dumps({"key": "k", "drawn": {"training.lr": 0.1}}) + "\n")
    provided = depot(folder_store, driver).provided(spec)
    assert provided.storage == folder_store.url
    depot(folder_store, second).collect()
    assert (second.results / "runs" / "tiny" / "proposals.jsonl").read_bytes() == proposals.read_bytes()


def test_a_store_that_is_away_is_said_before_the_sweep_and_ends_it_later(
    folder_store: Store, machines: Any, tmp_path: Path
) -> None:
    keeper = depot(folder_store, machines[0])
    keeper.collect()
    (tmp_path / "store").rename(tmp_path / "moved")
    (tmp_path / "store").write_text("no folder any more")
    with pytest.raises(StoreError, match="cannot be reached"):
        depot(folder_store, machines[0]).collect()
    with pytest.raises(StoreLost, match="cannot be reached"):
        keeper.settle("aaaa", 0)
