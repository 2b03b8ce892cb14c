"""Clusters of several Ray nodes on this machine, and what their workers execute; imported by name in the workers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import threadpoolctl
from executions import Progress, Quick
from ray.cluster_utils import Cluster

from experiments.training.spec import RunSpec
from utils.files import write_text_atomically

# A node that is gone is noticed within seconds, which is long enough for a loaded machine.
_QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}


@contextlib.contextmanager
def cluster_of(nodes: int, port: int = 0) -> Iterator[Cluster]:
    """A head without CPU cores, where the driver is, and nodes with one core each. port: the head's; 0 for any."""
    head = {"num_cpus": 0, "include_dashboard": False, "gcs_server_port": port, "_system_config": _QUICK}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])


class Epochs(Quick):
    """Four epochs, each kept in ``last``, from which the next attempt goes on; then as `Quick`.

    ``starts`` has a line for each attempt: the node that it is on, and the epoch that it goes on from. A run whose
    configuration is called ``held`` never comes beyond the second epoch in its first attempt; two that are called
    ``late...`` do not end before both are under way.
    """

    def __init__(self, spec: RunSpec) -> None:
        super().__init__(spec)
        self.last = spec.folder / "last"
        self.done = int(self.last.read_text()) if self.last.exists() else 0
        with (spec.folder / "starts").open("a") as file:
            file.write(f"{ray.get_runtime_context().get_node_id()} {self.done}\n")

    def step(self) -> Progress:
        if self.spec.configuration == "held" and self.done == 2 and len(starts(self.spec.folder)) == 1:
            time.sleep(600)
            raise AssertionError("outlived the test")
        if self.done < 4:
            self.done += 1
            write_text_atomically(self.last, str(self.done))
            return Progress(self.done, 5, 0.5, ended=False)
        deadline = time.monotonic() + 300
        while self.spec.configuration.startswith("late") and not self._met() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.epoch = 1  # what is left of `Quick` is its end
        return super().step()

    def _met(self) -> bool:
        return len(list(self.spec.folder.parents[1].glob("late*/*/starts"))) > 1


class Packed(Quick):
    """As `Quick`, but those whose configuration is called ``tiny...`` wait until four of them are under way.

    ``occupies.json`` says which GPU and how much of what Ray has given it, and how many threads libraries have.
    """

    def __init__(self, spec: RunSpec) -> None:
        super().__init__(spec)
        pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        given = {"gpu": os.environ["CUDA_VISIBLE_DEVICES"], **ray.get_runtime_context().get_assigned_resources()}
        write_text_atomically(spec.folder / "occupies.json", json.dumps({**given, "pools": pools}))

    def step(self) -> Progress:
        deadline = time.monotonic() + 300
        while self.spec.configuration.startswith("tiny") and self._alone() and time.monotonic() < deadline:
            time.sleep(0.1)
        return super().step()

    def _alone(self) -> bool:
        return len(list(self.spec.folder.parents[1].glob("tiny*/*/occupies.json"))) < 4


def starts(folder: Path) -> list[tuple[str, int]]:
    """Node and epoch that each attempt of a run of `Epochs` began with."""
    file = folder / "starts"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(node, int(epoch)) for node, epoch in lines]


def is_held(folder: Path) -> bool:
    """Whether the run called ``held`` has come as far as it does in its first attempt."""
    last = folder / "last"
    return last.exists() and last.read_text() == "2"


def node_called(cluster: Cluster, id: str) -> Any:
    """The node with this id."""
    [node] = [node for node in cluster.worker_nodes if node.node_id == id]
    return node
