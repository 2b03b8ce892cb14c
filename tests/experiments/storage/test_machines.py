"""Two raylets whose workers see different folders: all that they share with the driver is a store."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from experiments.ledger import Ledger, Record
from experiments.scheduling import Run, RunQueue
from experiments.scheduling.cluster import execute, ray_cluster
from experiments.storage.depot import Depot, StoreLost
from experiments.storage.provisions import FOLDER_VARIABLE
from experiments.storage.store import Store
from experiments.storage.stored_run import records_of

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]

pytestmark = pytest.mark.slow


class Sweep:
    """Three runs of four epochs, and the observer of them, as the driver is one."""

    def __init__(self, bench: Any, results: Path, url: str) -> None:
        self.runs = [Run("a", 0), Run("b", 0), Run("c", 0)]
        self.depot, self.ledger = Depot(url, results, "tiny"), Ledger(results, "tiny")
        self.events: list[tuple[str, Run]] = []
        self._bench = bench

    def describe(self, run: Run) -> dict[str, Any]:
        spec = self._bench.spec(self.ledger.folder(*run), {"training.seed": "abc".index(run.configuration)})
        return self.depot.provided(replace(spec, configuration=run.configuration)).to_json()

    def find(self, run: Run) -> Record | None:
        self.depot.settle(*run)
        return self.ledger.get(*run)

    def ended(self, run: Run, record: Record) -> None:
        self.events.append(("ended", run))

    def crashed(self, run: Run, crashes: int, again: bool) -> None:
        self.events.append(("crashed" if again else "given up", run))

    def __getattr__(self, name: str) -> Any:
        if name in ("started", "advanced", "returned", "hung", "adjusted", "paused", "resumed"):
            return lambda run, *more: self.events.append((name, run))
        raise AttributeError(name)

    def of(self, kind: str) -> list[Run]:
        return [run for event, run in self.events if event == kind]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head that runs nothing; nodes are added by the test."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(PROJECT)]))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()


def test_a_sweep_on_machines_that_share_no_folder_is_complete_and_outlives_one_of_them(
    bench: Any, tmp_path: Path, folder_store: Store, cluster: Cluster
) -> None:
    folders = {name: tmp_path / name for name in ("second", "third")}
    nodes = {}
    for name, folder in folders.items():
        folder.mkdir()
        nodes[name] = cluster.add_node(num_cpus=1, env_vars={FOLDER_VARIABLE: str(folder)})
    (folders["second"] / "hold").touch()
    sweep = Sweep(bench, tmp_path / "driver", folder_store.url)
    sweep.depot.collect()

    def kill() -> None:
        """The second machine, when its run has two epochs in the store and stands still."""
        deadline = time.monotonic() + 300
        while not (folders["second"] / "held").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        cluster.remove_node(nodes["second"], allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with ray_cluster(cluster.address):
        queue = RunQueue(sweep.runs, retries=2)
        execute(queue, sweep, sweep.describe, cpus=1, gpus=0, slots=None, check=int, execution="held:StoredHeld")
    killer.join()

    assert sorted(sweep.of("ended")) == sweep.runs and not sweep.of("given up")
    held = Run(Path((folders["second"] / "held").read_text()).parent.name, 0)
    assert set(sweep.of("crashed")) == {held}
    records = sweep.ledger.records(sweep.runs)
    assert {record.status for record in records.values()} == {"complete"} and len(records) == 3
    assert sorted(records_of(folder_store, "tiny")) == sweep.runs
    attempts = (sweep.ledger.folder(*held) / "attempts.csv").read_text().splitlines()[1:]
    assert [line.rpartition(",")[2] for line in attempts] == ["1", "3"], "it went on from its epoch on the other"
    for run in sweep.runs:
        assert (folders["third"] / "runs" / "tiny" / run.configuration).is_dir()
        assert not (folders["second"] / "runs" / "tiny" / run.configuration / "fold-0" / "record.json").exists()
        kept = {path.name for path in sweep.ledger.folder(*run).iterdir()}
        assert {"record.json", "best.pt", "epochs.csv", "cases.csv"} <= kept and "last.pt" not in kept
    # The same command, on a machine that has nothing yet.
    elsewhere = tmp_path / "elsewhere"
    Depot(folder_store.url, elsewhere, "tiny").collect()
    assert Ledger(elsewhere, "tiny").records(sweep.runs) == records


def test_a_store_that_is_lost_for_good_ends_the_sweep_with_its_own_words(
    bench: Any, tmp_path: Path, folder_store: Store, cluster: Cluster
) -> None:
    (tmp_path / "here").mkdir()
    cluster.add_node(num_cpus=1, env_vars={FOLDER_VARIABLE: str(tmp_path / "here")})
    sweep = Sweep(bench, tmp_path / "driver", folder_store.url)
    sweep.depot = Depot(folder_store.url, tmp_path / "driver", "tiny", pauses=())

    def check() -> None:
        place = tmp_path / "store"
        if sweep.of("advanced") and place.is_dir():
            place.rename(tmp_path / "moved")
            place.write_text("no folder any more")

    def give_up() -> None:
        """The worker waits for the store; the driver hears of the run when that dies."""
        while not (tmp_path / "moved").exists():
            time.sleep(0.1)
        for path in (tmp_path / "here").glob("pid-*"):
            os.kill(int(path.name.removeprefix("pid-")), signal.SIGKILL)

    threading.Thread(target=give_up, daemon=True).start()
    with pytest.raises(StoreLost, match="cannot be reached"), ray_cluster(cluster.address):
        queue = RunQueue(sweep.runs, retries=2)
        execute(queue, sweep, sweep.describe, cpus=1, gpus=0, slots=None, check=check, execution="held:StoredHeld")
    assert not sweep.of("ended") and not sweep.of("given up")
    assert not list((tmp_path / "driver").rglob("record.json"))
