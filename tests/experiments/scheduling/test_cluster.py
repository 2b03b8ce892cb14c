"""Runs executed by a real Ray: which, in which order, how many at once, by which processes, and what if one dies."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.cluster_utils import Cluster
from ray.tune.experiment import Trial

from experiments.ledger import Ledger, Record
from experiments.ledger.record import commit
from experiments.scheduling import Run, RunQueue, fold_by_fold
from experiments.scheduling.cluster import available, execute, ray_cluster
from experiments.scheduling.room import Room
from experiments.training.spec import RunSpec
from utils.errors import UserError

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]

pytestmark = pytest.mark.slow


class Sweep:
    """A sweep of runs that train nothing, and the observer of them; `events` is what was observed."""

    def __init__(self, folder: Path, runs: list[Run], deaths: dict[Run, int] | None = None) -> None:
        self.ledger, self.runs, self.deaths = Ledger(folder, "empty"), runs, deaths or {}
        self.described: list[Run] = []
        self.events: list[tuple[Any, ...]] = []

    def execute(
        self,
        execution: str = "Quick",
        slots: int | None = None,
        retries: int = 1,
        check: Callable[[], None] = int,
        queue: RunQueue | None = None,
        module: str = "executions",
        **options: Any,
    ) -> None:
        queue = queue or RunQueue(self.runs, retries)
        name = f"{module}:{execution}"
        execute(queue, self, self.describe, cpus=1, gpus=0, slots=slots, check=check, execution=name, **options)
        assert queue.exhausted

    def describe(self, run: Run) -> dict[str, Any]:
        self.described.append(run)
        folder = self.ledger.folder(*run)
        spec = RunSpec(
            sweep="empty",
            configuration=run.configuration,
            name=run.configuration,
            fold=run.fold,
            settings={"training": {"seed": 1}, "deaths": self.deaths.get(run, 0)},
            folder=folder,
            cache=folder,
            split_file=folder,
            weights=None,
            data="",
            split="",
            code="",
        )
        return spec.to_json()

    def find(self, run: Run) -> Record | None:
        return self.ledger.get(*run)

    def started(self, run: Run) -> None:
        self.events.append(("started", run))

    def advanced(self, run: Run, epoch: int, epochs: int, objective: float | None) -> None:
        self.events.append(("advanced", run, epoch, epochs, objective))

    def crashed(self, run: Run, crashes: int, again: bool) -> None:
        self.events.append(("crashed", run, crashes, again))

    def hung(self, run: Run, seconds: float) -> None:
        self.events.append(("hung", run, seconds))

    def adjusted(self, run: Run, note: str) -> None:
        self.events.append(("adjusted", run, note))

    def returned(self, run: Run) -> None:
        self.events.append(("returned", run))

    def ended(self, run: Run, record: Record) -> None:
        self.events.append(("ended", run))

    def paused(self, reason: str) -> None:
        self.events.append(("paused", reason))

    def resumed(self) -> None:
        self.events.append(("resumed", ""))

    def of(self, kind: str) -> list[Run]:
        return [event[1] for event in self.events if event[0] == kind]

    def traces(self) -> list[dict[str, Any]]:
        return [json.loads((self.ledger.folder(*run) / "trace.json").read_text()) for run in self.runs]

    def attempts(self, run: Run) -> list[int]:
        return [int(line) for line in (self.ledger.folder(*run) / "attempts").read_text().split()]


def most_at_once(traces: list[dict[str, Any]]) -> int:
    moments = sorted([(one["began"], 1) for one in traces] + [(one["ended"], -1) for one in traces])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most


@pytest.fixture(scope="class")
def ray_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(PROJECT)]))
        patch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # another's cluster, which is not to be joined
        with ray_cluster(None):
            yield


@pytest.mark.usefixtures("ray_here")
class TestOnThisMachine:
    def test_runs_go_fold_by_fold_in_as_few_processes_as_there_are_slots(self, tmp_path: Path) -> None:
        sweep = Sweep(tmp_path, fold_by_fold([(name, 3) for name in "abcd"]))
        sweep.execute()
        assert sweep.described == sweep.runs
        assert sorted(sweep.of("started")) == sorted(sweep.of("ended")) == sorted(sweep.runs)
        assert [event for event in sweep.events if event[0] == "advanced" and event[1] == Run("a", 0)] == [
            ("advanced", Run("a", 0), 1, 2, 0.5)
        ]
        traces = sweep.traces()
        slots = int(available()[0])
        assert most_at_once(traces) <= slots
        assert len({trace["pid"] for trace in traces}) <= slots

    def test_slots_bound_how_many_run_at_once(self, tmp_path: Path) -> None:
        sweep = Sweep(tmp_path, fold_by_fold([(name, 2) for name in "abc"]))
        sweep.execute(slots=1)
        assert most_at_once(sweep.traces()) == 1
        assert len({trace["pid"] for trace in sweep.traces()}) == 1
        assert sweep.of("ended") == sweep.runs

    def test_workers_start_side_by_side(self, tmp_path: Path) -> None:
        if available()[0] < 2:
            pytest.skip("one CPU core has room for one worker")
        sweep = Sweep(tmp_path, [Run("a", 0), Run("a", 1)])
        started = time.monotonic()
        sweep.execute("Meeting", slots=2)
        assert time.monotonic() - started < 30, "the second worker waited for the first"

    def test_ray_tune_forgets_what_has_ended(self, tmp_path: Path) -> None:
        sweep = Sweep(tmp_path, fold_by_fold([("a", 24)]))
        remembered: list[int] = []

        def count() -> None:
            if not remembered and len(sweep.of("ended")) >= 20:
                remembered.append(sum(type(one) is Trial for one in gc.get_objects()))

        sweep.execute(slots=1, check=count)
        assert len(sweep.of("ended")) == 24
        assert 0 < remembered[0] < 8

    def test_what_is_in_the_ledger_is_not_executed(self, tmp_path: Path) -> None:
        sweep = Sweep(tmp_path, fold_by_fold([("a", 2), ("b", 1)]))
        done = Record(
            sweep="empty", configuration="b", fold=0, status="complete", code="", data="", split="", seed=0
        )  # fmt: skip
        commit(done, sweep.ledger.folder("b", 0))
        sweep.execute()
        assert sweep.described == [Run("a", 0), Run("a", 1)]
        assert sorted(sweep.of("ended")) == sorted(sweep.runs)

    def test_a_run_whose_worker_dies_is_retried_and_given_up_in_the_end(self, tmp_path: Path) -> None:
        once, always = Run("once", 0), Run("always", 0)
        sweep = Sweep(tmp_path, [once, always, Run("never", 0), Run("never", 1)], {once: 1, always: 100})
        sweep.execute(retries=2)
        crashes = [event for event in sweep.events if event[0] == "crashed"]
        assert [event for event in crashes if event[1] == once] == [("crashed", once, 1, True)]
        assert [event[2:] for event in crashes if event[1] == always] == [(1, True), (2, True), (3, False)]
        assert sorted(sweep.of("ended")) == sorted([once, Run("never", 0), Run("never", 1)])
        assert len(set(sweep.attempts(once))) == 2
        assert len(set(sweep.attempts(always))) == 3

    @pytest.mark.parametrize("execution", ["Stopped", "InCCode"])
    def test_a_hung_run_is_ended_and_retried_though_its_process_hears_nothing(
        self, tmp_path: Path, execution: str
    ) -> None:
        hanging, other = Run("hanging", 0), Run("other", 0)
        sweep = Sweep(tmp_path, [hanging, other], {hanging: 1})
        sweep.execute(execution, timeout=15)
        assert [event for event in sweep.events if event[0] == "hung"] == [("hung", hanging, 15)]
        assert [event for event in sweep.events if event[0] == "crashed"] == [("crashed", hanging, 1, True)]
        assert sorted(sweep.of("ended")) == sweep.runs
        first, _ = sweep.attempts(hanging)
        deadline = time.monotonic() + 20
        while psutil.pid_exists(first) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not psutil.pid_exists(first)

    def test_a_run_that_meets_a_full_disk_waits_and_goes_on_in_the_same_process(self, tmp_path: Path) -> None:
        run = Run("a", 0)
        sweep = Sweep(tmp_path, [run], {run: 1})
        sweep.execute("OnFullDisk", retries=0, room=Room(tmp_path, reserve=0))
        kinds = [event[0] for event in sweep.events]
        assert kinds == ["started", "returned", "paused", "resumed", "started", "advanced", "ended"]
        assert len(sweep.attempts(run)) == 2


class Stop(BaseException):
    pass


@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
@pytest.mark.parametrize("head", [True, False], ids=["in a process of its own", "in this process"])
def test_a_sweep_outlives_its_ray(tmp_path: Path, part: str, head: bool) -> None:
    """In a process of its own, for whatever is left of a killed Ray."""
    command = [sys.executable, str(HERE / "survivor.py"), part, "head" if head else "", str(tmp_path)]
    paths = os.pathsep.join([str(HERE), str(PROJECT)])
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert len(answer["lost"]) == 1 and "died" in answer["lost"][0]
    assert sorted(answer["ended"]) == [["a", 0], ["b", 0], ["c", 0]]
    assert answer["clusters"] == 2


def test_what_check_raises_ends_it_promptly_and_the_workers_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(PROJECT)]))
    sweep = Sweep(tmp_path, [Run("a", 0), Run("b", 0)])
    raised: list[float] = []

    def check() -> None:
        if sweep.of("advanced"):
            raised.append(time.monotonic())
            raise Stop

    with pytest.raises(Stop), ray_cluster(None):
        sweep.execute("Endless", check=check)
    assert time.monotonic() - raised[0] < 10
    [pid] = sweep.attempts(sweep.of("advanced")[0])
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid)


def test_workers_of_a_joined_cluster_get_our_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.chdir(tmp_path)  # Ray's workers look for modules in the folder that the driver is in
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        sweep = Sweep(tmp_path, fold_by_fold([("a", 2)]))
        with ray_cluster(cluster.address):
            sweep.execute()
            assert available()[0] == 1
        for trace in sweep.traces():
            assert not Path(trace["packages"]).is_relative_to(PROJECT)
        assert psutil.pid_exists(cluster.head_node.all_processes["raylet"][0].process.pid)  # left, not stopped
    finally:
        cluster.shutdown()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:port", "127.0.0.1:99999", "ray://127.0.0.1:1"])
def test_an_address_without_a_cluster_is_at_once_the_users_error(address: str) -> None:
    started = time.monotonic()
    with pytest.raises(UserError) as caught, ray_cluster(address):
        pass
    assert caught.value.problems[0].where == "--address"
    assert time.monotonic() - started < 5


# A driver that starts Ray as `Driver` does, says which processes that took, and waits.
DRIVER = """\
import sys, time
from experiments.scheduling.head import Head
with Head() as head:
    from experiments.scheduling.cluster import available, ray_cluster
    with ray_cluster(None, head):
        import psutil, os
        print(int(available()[0]), *(one.pid for one in psutil.Process().children(recursive=True)), flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("kill", [False, True], ids=["leaves", "is killed"])
def test_ray_on_this_machine_ends_when_its_driver(kill: bool) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert driver.stdin is not None and driver.stdout is not None
    cores, *family = map(int, driver.stdout.readline().split())
    assert cores == os.cpu_count()
    assert len(family) >= 3
    if kill:
        driver.kill()
    driver.stdin.close()
    driver.stdout.close()
    assert driver.wait(30) == (-signal.SIGKILL if kill else 0)
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in family if psutil.pid_exists(pid)], timeout=20)
    assert not alive
