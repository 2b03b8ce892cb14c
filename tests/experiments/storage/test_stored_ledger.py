"""A ledger over a store answers for runs wherever they were executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.ledger.record import Record, commit
from experiments.storage.depot import Depot
from experiments.storage.store import Store
from experiments.storage.stored_ledger import StoredLedger
from experiments.storage.stored_run import StoredRun


def end_elsewhere(store: Store, folder: Path, status: str) -> Record:
    """Ends a run on a machine of its own."""
    made = Record.model_validate(
        {
            **{"sweep": "tiny", "configuration": "aaaa", "fold": 0, "status": status},
            **{"code": "1", "data": "d", "split": "s", "seed": 1},
        }
    )
    commit(made, folder)
    StoredRun(store, "tiny", "aaaa", 0, folder).put_end()
    return made


def ledger(store: Store, results: Path) -> StoredLedger:
    return StoredLedger(results, "tiny", Depot(store.url, results, "tiny", pauses=()))


def test_it_asks_the_store_for_a_run_and_not_for_a_table_of_runs(folder_store: Store, tmp_path: Path) -> None:
    here = ledger(folder_store, tmp_path / "driver")
    assert here.get("aaaa", 0) is None
    record = end_elsewhere(folder_store, tmp_path / "elsewhere", "complete")
    assert here.records([("aaaa", 0)]) == {}
    assert here.get("aaaa", 0) == record
    assert here.records([("aaaa", 0), ("aaaa", 1)]) == {("aaaa", 0): record}


def test_a_failed_run_that_is_to_be_repeated_does_not_come_back(folder_store: Store, tmp_path: Path) -> None:
    here = ledger(folder_store, tmp_path / "driver")
    end_elsewhere(folder_store, tmp_path / "elsewhere", "failed")
    assert here.get("aaaa", 0) is not None
    here.forget_failure("aaaa", 0)
    assert here.get("aaaa", 0) is None and folder_store.keys("records") == []


def test_a_complete_run_is_not_forgotten_in_the_store(folder_store: Store, tmp_path: Path) -> None:
    here = ledger(folder_store, tmp_path / "driver")
    record = end_elsewhere(folder_store, tmp_path / "elsewhere", "complete")
    here.get("aaaa", 0)
    with pytest.raises(ValueError, match="has not failed"):
        here.forget_failure("aaaa", 0)
    assert ledger(folder_store, tmp_path / "another").get("aaaa", 0) == record
