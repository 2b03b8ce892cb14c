"""One driver a sweep where there is nothing but a store: refused while another lives, taken over when it is dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.storage.lease import StoreLease
from experiments.storage.store import Store
from utils.errors import UserError

DRIVER = """\
import sys, time
from experiments.storage.lease import StoreLease
from experiments.storage.store import Store
with StoreLease(Store(sys.argv[1]), "sweep", beat=0.05, patience=1):
    print("holds", flush=True)
    time.sleep(600)
"""


def test_a_second_driver_is_refused_and_told_who_the_first_is(store: Store) -> None:
    with StoreLease(store, "sweep", beat=0.05), pytest.raises(UserError) as caught:
        StoreLease(store, "sweep", beat=0.05, patience=60).__enter__()
    [problem] = caught.value.problems
    assert problem.where == "resources.storage"
    assert f"process {os.getpid()} on " in problem.message and "another `name` or store" in problem.message


def test_a_lease_ends_with_its_driver_and_another_sweep_has_its_own(store: Store) -> None:
    with StoreLease(store, "sweep"), StoreLease(store, "another"):
        assert store.keys("drivers") == ["drivers/another.json", "drivers/sweep.json"]
    assert store.keys("drivers") == []
    with StoreLease(store, "sweep"):
        pass


@pytest.mark.parametrize("host", ["elsewhere", None])
def test_the_lease_of_a_driver_that_was_killed_is_taken_over(tmp_path: Path, host: str | None) -> None:
    store = Store((tmp_path / "store").as_uri())
    with subprocess.Popen([sys.executable, "-c", DRIVER, store.url], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == "holds\n"
        driver.send_signal(signal.SIGKILL)
    [key] = store.keys("drivers")
    left = json.loads(store.read(key) or b"")
    if host is not None:  # then nobody here can ask whether its process lives
        store.write(key, json.dumps({**left, "host": host}).encode())
    begun = time.monotonic()
    with StoreLease(store, "sweep", beat=0.05, patience=0.5):
        assert host is None or time.monotonic() - begun >= 0.5, "it was not watched"
        assert json.loads(store.read(key) or b"")["token"] != left["token"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_damaged_lease_is_nobodys(store: Store, content: bytes) -> None:
    store.write("drivers/sweep.json", content)
    with StoreLease(store, "sweep", beat=0.02, patience=0.1):
        pass
    assert store.keys("drivers") == []
