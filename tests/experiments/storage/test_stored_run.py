"""A run's way through the store: the furthest state is gone on with, and one end counts."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.ledger.record import Record, commit, read, seal
from experiments.storage.store import Store
from experiments.storage.stored_run import records_of
from experiments.training.adjustments import Adjustments


def record(machine: Any, status: Any = "complete", device: str = "") -> Record:
    """Ends the run on a machine, as an execution does."""
    names = ("best.pt", "epochs.csv") if status == "complete" else ()
    files = {name: seal(machine.run / name) for name in names}
    made = Record(
        **{"sweep": "tiny", "configuration": "aaaa", "fold": 0, "status": status, "device": device},
        **{"code": "1", "data": "d", "split": "s", "seed": 1, "files": files},
    )
    commit(made, machine.run)
    (machine.run / "last.pt").unlink(missing_ok=True)
    return made


def test_a_run_goes_on_elsewhere_from_what_was_put_last(store: Store, machines: Any) -> None:
    _, first, second = machines
    attempt = first.stored(store)
    for epochs in (1, 2, 3):
        first.train(epochs)
        attempt.put_state()
    second.stored(store).fetch_state()
    assert second.files() == first.files()
    assert len([key for key in store.keys("records") if "last.pt" in key]) == 1, "what is out of date is deleted"


def test_the_furthest_state_is_taken_whoever_put_it_last(store: Store, machines: Any) -> None:
    driver, first, second = machines
    lost, other = first.stored(store), second.stored(store)
    first.train(2, "lost")
    lost.put_state()
    other.fetch_state()
    second.train(5, "other")
    other.put_state()
    first.train(3, "lost")  # a machine that was thought dead goes on
    lost.put_state()
    driver.stored(store).fetch_state()
    assert driver.files() == second.files()
    lost.fetch_state()
    assert first.files() == second.files(), "its own files are less far"


def test_a_machine_that_is_further_than_the_store_keeps_its_files(store: Store, machines: Any) -> None:
    _, first, _ = machines
    first.train(2)
    first.stored(store).put_state()
    first.train(3)  # killed before it could put that
    first.stored(store).fetch_state()
    assert first.files()["last.pt"].startswith("last of 3")


def test_an_adjusted_run_counts_as_further_though_it_began_anew(store: Store, machines: Any) -> None:
    driver, first, second = machines
    attempt = first.stored(store)
    first.train(4)
    attempt.put_state()
    (first.run / "last.pt").unlink()
    Adjustments().at_lower_rate(0.1, 5).write(first.run)
    attempt.put_state()
    second.train(4, "old")
    second.stored(store).fetch_state()
    assert Adjustments.read(second.run).lr == pytest.approx(0.01)
    assert not (second.run / "last.pt").exists()
    driver.stored(store).fetch_adjustments()
    assert Adjustments.read(driver.run) == Adjustments.read(first.run)
    assert not (driver.run / "epochs.csv").exists(), "the driver needs no more"


@pytest.mark.parametrize("damage", ["manifest", "file"])
def test_a_damaged_state_is_left_out_for_the_one_before(store: Store, machines: Any, damage: str) -> None:
    driver, first, second = machines
    first.train(2, "sound")
    first.stored(store).put_state()
    second.train(4, "damaged")
    second.stored(store).put_state()
    manifest = next(key for key in store.keys("records") if "state-000-000004" in key)
    last = second.stored(store).states()[0].files["last.pt"].key
    store.write(manifest if damage == "manifest" else last, b"{")
    with pytest.warns(UserWarning, match="going on without it"):
        driver.stored(store).fetch_state()
    assert driver.files() == first.files()


def test_of_two_ends_the_first_counts_and_nothing_else_stays(store: Store, machines: Any) -> None:
    driver, first, second = machines
    lost, other = first.stored(store), second.stored(store)
    first.train(2, "lost")
    lost.put_state()
    other.fetch_state()
    second.train(4, "other")
    expected = record(second, device="other")
    other.put_end()
    first.train(4, "lost")
    record(first, device="lost")
    assert lost.has_ended()
    lost.put_end()
    end = driver.stored(store).ended()
    assert end is not None and records_of(store, "tiny") == [("aaaa", 0)]
    driver.stored(store).fetch_end(end)
    assert read(driver.run) == expected
    assert driver.files() == second.files()
    place = "records/tiny/aaaa/fold-0"
    assert set(store.keys("records")) == {f"{place}/ended.json", *(sent.key for sent in end.files.values())}
    assert "last.pt" not in end.files


def test_a_failed_run_that_is_forgotten_begins_anew_on_every_machine(store: Store, machines: Any) -> None:
    _, first, second = machines
    attempt = first.stored(store)
    first.train(3)
    attempt.put_state()
    second.stored(store).fetch_state()
    first.train(3)
    record(first, "failed")
    attempt.put_end()
    second.stored(store).forget()
    assert store.keys("records") == [] and not second.stored(store).has_ended()
    for machine in (first, second):
        machine.stored(store).fetch_state()
        assert machine.files() == {}


def test_what_was_done_before_there_was_a_store_is_gone_on_with(store: Store, machines: Any) -> None:
    driver, first, _ = machines
    driver.train(2)
    driver.stored(store).fetch_state()
    assert driver.files()["last.pt"].startswith("last of 2")
    driver.stored(store).put_state()
    first.stored(store).fetch_state()
    assert first.files() == driver.files()


def test_a_record_that_the_store_could_not_be_told_of_is_put_by_the_next_attempt(store: Store, machines: Any) -> None:
    _, first, _ = machines
    first.train(2)
    first.stored(store).put_state()
    expected = record(first)
    again = first.stored(store)
    again.fetch_state()
    assert read(first.run) == expected, "it is further than the state in the store"
