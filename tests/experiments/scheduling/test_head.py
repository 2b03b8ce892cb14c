"""Ray that is started for a sweep is open to this machine alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from experiments.scheduling.head import PROJECT

# Starts Ray as `Driver` does, or as it is started where a Ray without a token has been imported, and runs a task.
DRIVER = """\
import json, os, sys
if sys.argv[1] == "in this process":
    import ray
from experiments.scheduling.head import Head
head = Head() if Head.possible() else None
from experiments.scheduling.cluster import ray_cluster
import psutil, ray
with ray_cluster(None, head):
    ray.get(ray.remote(lambda: 1).remote())
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    ports = [each.laddr.ip for one in family for each in one.net_connections("inet") if each.status == "LISTEN"]
    answer = {"head": head is not None, "ports": ports, "mode": os.environ.get("RAY_AUTH_MODE", "")}
    print(json.dumps(answer))
if head is not None:
    head.__exit__(None, None, None)
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in a process of its own", "in this process"])
def test_ray_on_this_machine_listens_to_nobody_else(where: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", DRIVER, where],
        env={**environment, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert len(answer["ports"]) >= 4
    assert {address.removeprefix("::ffff:") for address in answer["ports"]} <= {"127.0.0.1", "::1"}
    assert answer["head"] is (where == "in a process of its own")
    assert answer["mode"] == "token", "on this machine too, nobody joins without it"
