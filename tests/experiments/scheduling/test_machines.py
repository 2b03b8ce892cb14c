"""Clusters of several nodes: one is killed, one is added, one is silent, the head comes again or stays away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from experiments.preflight.folder import marked
from experiments.preflight.node import node_problems
from experiments.preflight.slot import Claim
from experiments.scheduling import Run, RunQueue
from experiments.scheduling.cluster import execute, ray_cluster
from experiments.scheduling.nodes import inspect_cluster

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
sys.path.append(str(HERE))

from machines import cluster_of, free_port, is_held, node_called, starts  # noqa: E402
from test_cluster import Sweep, most_at_once  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def modules_for_workers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(PROJECT)]))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def until(condition: Callable[[], object], what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.05)


def test_runs_share_a_gpu_as_their_claims_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU that Ray is told of and that need not be there: it only keeps accounts."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")  # the user's wish, which would be one for every worker
    tiny = [Run(f"tiny-{letter}", 0) for letter in "abcd"]
    sweep = Sweep(tmp_path, [Run("huge", 0), *tiny, Run("huge", 1)])
    claims = {"huge": Claim(4, 1.0)}
    head = {"num_cpus": 4, "num_gpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        with ray_cluster(cluster.address):
            queue = RunQueue(sweep.runs, retries=0)
            execute(
                queue,
                sweep,
                sweep.describe,
                cpus=1,
                gpus=0.25,
                slots=None,
                check=int,
                execution="machines:Packed",
                claim=lambda run: claims.get(run.configuration, Claim(1, 0.25)),
            )
    finally:
        cluster.shutdown()
    assert sorted(sweep.of("ended")) == sorted(sweep.runs) and sweep.of("crashed") == []
    traces = dict(zip(sweep.runs, sweep.traces(), strict=True))
    occupied = {run: json.loads((sweep.ledger.folder(*run) / "occupies.json").read_text()) for run in sweep.runs}
    assert {(each["gpu"], each["CPU"], each["GPU"]) for run, each in occupied.items() if run in tiny} == {
        ("0", 1, 0.25)
    }
    assert (occupied[Run("huge", 0)]["CPU"], occupied[Run("huge", 0)]["GPU"]) == (4, 1)
    assert most_at_once([traces[run] for run in tiny]) == 4
    for one in (traces[run] for run in sweep.runs if run not in tiny):
        assert all(
            one["ended"] <= other["began"] or other["ended"] <= one["began"] for other in (traces[run] for run in tiny)
        )
    assert {threads for each in occupied.values() for threads in each["pools"]} == {1}


def test_a_sweep_outlives_a_killed_node_and_uses_an_added_one(tmp_path: Path) -> None:
    runs = [Run(name, 0) for name in ("held", "a", "b", "late-a", "late-b")]
    sweep = Sweep(tmp_path, runs)
    held = sweep.ledger.folder("held", 0)
    added: list[str] = []
    with cluster_of(2) as cluster, ray_cluster(cluster.address) as joined:

        def kill_and_add() -> None:
            """In the main thread, as Ray's nodes want to be started."""
            if not added and is_held(held):
                [(node, _)] = starts(held)
                cluster.remove_node(node_called(cluster, node), allow_graceful=False)
                added.append(cluster.add_node(num_cpus=1).node_id)

        sweep.execute("Epochs", cluster=joined, module="machines", check=kill_and_add)
    assert sorted(sweep.of("ended")) == sorted(runs)
    assert [event[1:] for event in sweep.events if event[0] == "crashed"] == [(Run("held", 0), 1, True)]
    (first, began), (second, went_on) = starts(held)
    assert (began, went_on) == (0, 2) and second != first
    once = {run: starts(sweep.ledger.folder(*run)) for run in runs if run != Run("held", 0)}
    assert {len(attempts) for attempts in once.values()} == {1}
    nodes = {run: attempts[0][0] for run, attempts in once.items()} | {Run("held", 0): second}
    assert added[0] in nodes.values()
    assert nodes[Run("late-a", 0)] != nodes[Run("late-b", 0)]


def start_joined(address: str, folder: Path, patience: float) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "joined.py"), address, str(folder), str(patience)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def left(driver: subprocess.Popen[str]) -> str:
    """Waits until the driver has left the cluster, and answers why it has."""
    assert driver.stdout is not None
    for line in driver.stdout:
        if line.startswith("lost: "):
            return line
    raise AssertionError(driver.communicate()[1])


def answer_of(driver: subprocess.Popen[str]) -> dict[str, Any]:
    out, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


def test_a_sweep_waits_for_a_head_that_is_started_again_and_goes_on(tmp_path: Path) -> None:
    port = free_port()
    held = Sweep(tmp_path, []).ledger.folder("held", 0)
    with cluster_of(1, port) as cluster:
        driver = start_joined(cluster.address, tmp_path, patience=200)
        until(lambda: is_held(held), "held run")
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        # A head that is back within these seconds makes Ray abort the driver: it is asked for what it never knew.
        assert "does not answer any more" in left(driver)
    with cluster_of(1, port) as again:
        assert again.address.endswith(f":{port}")
        answer = answer_of(driver)
    assert answer["error"] == ""
    assert sorted(answer["ended"]) == [["a", 0], ["b", 0], ["held", 0]]
    assert answer["clusters"] == 2
    assert [epoch for _, epoch in starts(held)] == [0, 2]


def test_a_head_that_stays_away_ends_the_sweep_with_what_to_do(tmp_path: Path) -> None:
    held = Sweep(tmp_path, []).ledger.folder("held", 0)
    with cluster_of(1) as cluster:
        driver = start_joined(cluster.address, tmp_path, patience=5)
        until(lambda: is_held(held), "held run")
        cluster.head_node.kill_gcs_server()
        assert "does not answer any more" in left(driver)
        answer = answer_of(driver)
    assert answer["ended"] == [["a", 0]]
    assert "within 5 s of its loss" in answer["error"] and "give the same command" in answer["error"]


# A driver that calls Ray just after the head has died, which `Cluster.check` could not know yet.
CALLER = """\
import sys
import ray
from experiments.scheduling.cluster import ray_cluster
with ray_cluster(sys.argv[1]):
    print("joined", flush=True)
    sys.stdin.readline()
    ray.nodes()
"""


def test_a_call_that_a_dead_head_never_answers_ends_the_driver_with_a_reason() -> None:
    with cluster_of(0) as cluster:
        caller = subprocess.Popen(
            [sys.executable, "-c", CALLER, cluster.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert caller.stdout is not None and caller.stdout.readline() == "joined\n"
        cluster.head_node.kill_gcs_server()
        _, errors = caller.communicate("now\n", timeout=120)
    assert caller.returncode == 2
    assert "does not answer any more" in errors and "give the same command" in errors


def test_the_command_finishes_on_a_cluster_that_loses_a_node(workspace: Any) -> None:
    with cluster_of(2) as cluster:
        options = ("--address", cluster.address, "--no-report", "--set", "folds.use=1", "--set", "training.epochs=6")
        command = workspace.start(*options)
        command.until(lambda: unfinished(workspace), "epoch of a run", seconds=500)
        run = unfinished(workspace)[0]
        node, worker = place_of(cluster, workspace.results / "runs" / "tiny" / run)
        worker.suspend()  # so that it does not end before its node does
        assert run not in workspace.records()
        cluster.remove_node(node, allow_graceful=False)
        worker.kill()
        assert command.wait(500) == 0, command.output
    assert "2 of 2 runs complete" in command.output
    assert len(workspace.records()) == 2
    assert {**dict.fromkeys(workspace.records(), 1), run: 2} == workspace.attempts()
    first, second = [line.split(",")[2] for line in workspace.runs("attempts.csv")[run].read_text().splitlines()[1:]]
    assert first == "1" and int(second) > 1


def unfinished(workspace: Any) -> list[str]:
    """The runs that have finished an epoch and are not through."""
    return [run for run in workspace.runs("last.pt") if run not in workspace.records()]


def place_of(cluster: Cluster, folder: Path) -> tuple[Any, psutil.Process]:
    """The node and the process that execute a run: the ones that have its lock."""
    for node in cluster.worker_nodes:
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for worker in raylet.children(recursive=True):
            if str(folder / "run.lock") in [file.path for file in worker.open_files()]:
                return node, worker
    raise AssertionError(f"nobody is at {folder}")


@pytest.fixture(scope="class")
def cluster() -> Iterator[Cluster]:
    with cluster_of(2) as cluster:
        yield cluster


class TestInspection:
    def test_every_node_reports_its_versions_and_the_folder(self, cluster: Cluster, tmp_path: Path) -> None:
        with marked(tmp_path) as token:
            reports, silent, capacity = inspect_cluster(cluster.address, tmp_path, token)
        assert silent == [] and capacity == (2, 0)
        assert len(reports) == 3
        assert node_problems(tmp_path, reports) == []
        assert all(report.folder.sees and report.host_memory > 0 for report in reports)
        assert not ray.is_initialized()

    def test_nodes_that_have_another_folder_there_are_named(self, cluster: Cluster, tmp_path: Path) -> None:
        reports, silent, _ = inspect_cluster(cluster.address, tmp_path / "not shared", "nobody's")
        assert silent == []
        assert [report.folder.sees for report in reports] == [False] * 3
        assert len(node_problems(tmp_path, reports)) == 3

    def test_a_node_that_does_not_answer_is_named_after_the_patience(self, cluster: Cluster, tmp_path: Path) -> None:
        stopped = next(iter(cluster.worker_nodes)).all_processes["raylet"][0].process
        raylet = psutil.Process(stopped.pid)
        raylet.suspend()
        try:
            with marked(tmp_path) as token:
                _, silent, _ = inspect_cluster(cluster.address, tmp_path, token, patience=3)
        finally:
            raylet.resume()
        assert silent and all(problem.where == "--address" for problem in silent)
        assert any("does not answer" in problem.message for problem in silent)
