"""Ray: started here or joined, replaced when it is lost, and Ray Tune run on it with our queue."""

from __future__ import annotations

import functools
import logging
import math
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray import tune

from experiments.scheduling.callback import SweepCallback
from experiments.scheduling.head import ENVIRONMENT, LOCAL, PROJECT, Head, dead_parts
from experiments.scheduling.observer import Observer
from experiments.scheduling.queue import Run, RunQueue
from experiments.scheduling.room import Room
from experiments.scheduling.searcher import LedgerSearcher
from experiments.scheduling.trainable import FRESH, RunTrainable
from experiments.training import EXECUTION
from utils.errors import Problem, UserError

_LOOKED_AT_EVERY = 1.0


class ClusterLost(BaseException):
    """Ray has died under the sweep. Not an `Exception`: Ray Tune would tidy up, and wait for what is no more."""


class Cluster:
    """The cluster that this process has joined."""

    def __init__(self, address: str | None, head: Head | None) -> None:
        self._address, self._head = address, head
        self._node = ray.get_runtime_context().get_node_id()
        self._look = 0.0

    def check(self) -> None:
        """Raises `ClusterLost` when nothing can run on it any more. To be called often.

        Whoever calls Ray between the death of its head and this waits for a minute, in C++, and is then ended by Ray.
        """
        if fault := self._fault():
            raise ClusterLost(fault)

    def _fault(self) -> str:
        if self._head is not None:
            return "Ray has died on this machine" if self._head.lost else ""
        if self._address is None:
            dead = dead_parts()
            return f"Ray's {' and '.join(dead)} died on this machine" if dead else ""
        if time.monotonic() < self._look:
            return ""
        fault = self._fault_of_joined(self._address)
        self._look = time.monotonic() + _LOOKED_AT_EVERY  # over the network, which takes its time
        return fault

    def _fault_of_joined(self, address: str) -> str:
        try:
            _knock(address)  # first: Ray itself would wait for a minute for a head that is gone
        except OSError as error:
            return f"the cluster at {address} does not answer any more ({error})"
        alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        return "" if self._node in alive else "the Ray node of this machine has died"


@contextmanager
def ray_cluster(address: str | None, head: Head | None = None) -> Iterator[Cluster]:
    """Joins the cluster at `address`; without one joins `head`, or starts Ray here and now. Leaves it at the end.

    Raises UserError if there is no cluster at `address`.
    """
    os.environ.update(ENVIRONMENT)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if address is not None:
        _join(address, quiet)
    elif head is not None:
        ray.init(address=head.address(), **quiet)
    else:
        ray.init(**LOCAL, **quiet)
    try:
        yield Cluster(address, head)
    finally:
        ray.shutdown()


def on_cluster(
    work: Callable[[Cluster], None],
    address: str | None,
    head: Head | None,
    lost: Callable[[str], None],
    patience: float = 300.0,
) -> None:
    """Calls `work` with a cluster, joined or started as `ray_cluster` does; again with another one when it is lost.

    lost: told what has happened. patience: seconds for which a cluster at an address may be away; the head may be
    started again there. Raises UserError if it stays away, or if Ray dies here five times within a minute of its start.
    """
    short_lived = 0
    with ExitStack() as stack:
        while True:
            started = time.monotonic()
            try:
                with ray_cluster(address, head) as cluster:
                    return work(cluster)
            except ClusterLost as error:
                lost(str(error))
                short_lived = short_lived + 1 if time.monotonic() - started < 60 else 0
                if short_lived == 5:
                    raise UserError(
                        Problem("ray", f"{error}, for the fifth time within a minute of its start")
                    ) from None
            if address is not None:
                _await(address, patience)
            elif head is not None:
                head = stack.enter_context(Head())


def _await(address: str, patience: float) -> None:
    """Returns when somebody listens there, or when the patience is spent."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            return _knock(address)
        except OSError:
            time.sleep(1)


def _join(address: str, options: dict[str, Any]) -> None:
    try:
        _knock(address)
        ray.init(address=address, runtime_env=_packages(), **options)
    except (OSError, ValueError, OverflowError) as error:
        message = f"no Ray cluster answers there ({error}); start one with `ray start --head`, or leave --address out"
        raise UserError(Problem("--address", message, value=address)) from None


def _knock(address: str) -> None:
    """Raises OSError if nobody listens there: Ray itself would try for a quarter of an hour."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if host:  # else it is a word that Ray understands, such as auto
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _packages() -> dict[str, Any]:
    """Our packages for workers on other machines, which may not have this checkout."""
    return {"py_modules": [str(PROJECT / name) for name in ("experiments", "models", "utils")]}


def available() -> tuple[float, float]:
    """CPU cores and GPUs of the cluster."""
    resources = ray.cluster_resources()
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def execute(
    queue: RunQueue,
    observer: Observer,
    describe: Callable[[Run], dict[str, Any]],
    *,
    cpus: int,
    gpus: float,
    slots: int | None,
    check: Callable[[], None],
    execution: str = EXECUTION,
    timeout: float | None = None,
    room: Room | None = None,
    cluster: Cluster | None = None,
) -> None:
    """Executes every run of `queue` on the cluster that `ray_cluster` has joined.

    describe: a run's spec as JSON-like values. cpus, gpus: what one run occupies. slots: the most runs
    at once, None for as many as fit. check: called ten times a second; what it raises ends the sweep. timeout: seconds
    after which a run without a further epoch counts as hung, None for never. room: where results go, None for a disk
    that is never full. Raises `ClusterLost` if `cluster` is; then the queue has what is left to do.
    """
    at_once = _fitting(cpus, gpus) if slots is None else min(slots, _fitting(cpus, gpus))
    # Of itself Ray Tune starts the second worker when the first is up, the third when the second is, and so on.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once)

    def check_all() -> None:
        check()
        if cluster is not None:
            cluster.check()

    searcher = LedgerSearcher(queue, observer, describe, execution, at_once, room, check_all)
    with tempfile.TemporaryDirectory(prefix="sweep-ray-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(RunTrainable, functools.partial(_claim, cpus, gpus)),
            tune_config=tune.TuneConfig(
                search_alg=searcher, num_samples=-1, max_concurrent_trials=slots, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=scratch,
                verbose=0,
                callbacks=[SweepCallback(searcher, observer, check_all, timeout)],
            ),
        )
        try:
            tuner.fit()
        except ClusterLost:
            searcher.abandon()
            raise


def _claim(cpus: int, gpus: float, config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    """What an attempt occupies.

    Ray Tune gives it the process of a run before that occupied the same: a name of its own makes it another.
    """
    name = {"name": config[FRESH]} if FRESH in config else {}
    return tune.PlacementGroupFactory([{"CPU": cpus, "GPU": gpus}], **name)


def _fitting(cpus: int, gpus: float) -> int:
    """How many runs with these claims the cluster has room for, at least one."""
    cores, accelerators = available()
    return max(1, int(min(cores / cpus if cpus else math.inf, accelerators / gpus if gpus else math.inf, 10_000)))
