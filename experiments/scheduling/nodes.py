"""The machines of a cluster, asked before the first run whether they fit to the driver's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from experiments.preflight.node import NodeReport, inspect_node
from experiments.scheduling.cluster import available, ray_cluster
from utils.errors import Problem

_PATIENCE = 180.0
"""Seconds for a machine to fetch our packages, to start a process and to import torch there."""


def inspect_cluster(
    address: str, folder: Path, token: str, patience: float = _PATIENCE, storage: str | None = None
) -> tuple[list[NodeReport], list[Problem], tuple[float, float]]:
    """Joins the cluster at an address and leaves it again: every machine's report, what is wrong with those that gave
    none, and all CPU cores and GPUs.

    folder, token, storage: as for `inspect_node`. Raises UserError if there is no cluster.
    """
    with ray_cluster(address):
        reports, silent = inspect_nodes(folder, token, patience, storage)
        return reports, silent, available()


def inspect_nodes(
    folder: Path, token: str, patience: float = _PATIENCE, storage: str | None = None
) -> tuple[list[NodeReport], list[Problem]]:
    """What every machine of the cluster that this process has joined reports, and the problems of those that do not."""
    inspect: Any = ray.remote(num_cpus=0, max_retries=0)(inspect_node)
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = inspect.options(scheduling_strategy=there).remote(str(folder), token, storage=storage)
            asked[task] = node.get("NodeManagerHostname") or node["NodeManagerAddress"]
    ray.wait(list(asked), num_returns=len(asked), timeout=patience)
    reports, problems = [], []
    for task, host in asked.items():
        try:
            reports.append(ray.get(task, timeout=0))
        except ray.exceptions.RayError as error:
            why = "does not answer" if isinstance(error, ray.exceptions.GetTimeoutError) else f"fails: {_first(error)}"
            problems.append(Problem("--address", f"{host} {why}; take it out of the cluster, or mend it"))
    return reports, problems


def _first(error: Exception) -> str:
    """What a task on another machine died of: the last line of what Ray says, which begins with its own story."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
