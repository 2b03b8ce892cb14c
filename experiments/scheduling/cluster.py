"""Ray: started here or joined, replaced when it is lost, and Ray Tune run on it with our queue."""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import ray
from ray import tune

from experiments.preflight.slot import Claim
from experiments.scheduling.callback import SweepCallback
from experiments.scheduling.forgetful import Forgetful
from experiments.scheduling.head import (
    ENVIRONMENT,
    LOCAL,
    MOST_PENDING,
    ONE_THREAD,
    PROJECT,
    Head,
    dead_parts,
    on_loopback,
)
from experiments.scheduling.observer import Observer
from experiments.scheduling.queue import Run, RunQueue
from experiments.scheduling.room import Room
from experiments.scheduling.searcher import LedgerSearcher
from experiments.scheduling.trainable import CLAIM, FRESH, RunTrainable
from experiments.training import EXECUTION
from utils.errors import Problem, UserError

_LOOKED_AT_EVERY = 1.0

_GIVEN_UP_AFTER = 40.0
"""Seconds for which nobody answers at the head of a joined cluster; after 60 Ray ends the process, without a reason."""


class ClusterLost(BaseException):
    """Ray has died under the sweep. Not an `Exception`: Ray Tune would tidy up, and wait for what is no more."""


class Cluster:
    """The cluster that this process has joined."""

    def __init__(self, joined: bool, head: Head | None) -> None:
        here = ray.get_runtime_context()
        # As it answers, not as it was given: nobody can be asked at "auto" whether he is still there.
        self._address, self._head = here.gcs_address if joined else None, head
        self._node = here.get_node_id()
        self._look = 0.0
        self.capacity = available()
        """CPU cores and GPUs; those of a joined cluster as they were when it was last looked at."""

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
        alive = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
        cores, gpus = (sum(one.get(what, 0.0) for one in alive.values()) for what in ("CPU", "GPU"))
        self.capacity = cores, gpus
        return "" if self._node in alive else "the Ray node of this machine has died"


class _Watchdog(threading.Thread):
    """Ends this process, and says why, if a call of Ray does not return because the head of the cluster is gone.

    `Cluster.check` comes too late for whoever calls Ray in the second in which the head dies: he waits in C++, where
    no exception reaches him.
    """

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address, self._left = address, threading.Event()

    def run(self) -> None:
        """Looks every few seconds until it is told to `leave`."""
        heard = time.monotonic()
        while not self._left.wait(2):
            with suppress(OSError):
                _knock(self._address)
                heard = time.monotonic()
            if time.monotonic() - heard > _GIVEN_UP_AFTER and not self._left.is_set():
                print(
                    f"\nThe Ray cluster at {self._address} does not answer any more, and Ray does not let go of it. "
                    "Start it again and give the same command: what has finished is kept.",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(2)

    def leave(self) -> None:
        """The cluster has been left, dead or alive."""
        self._left.set()


@contextmanager
def ray_cluster(address: str | None, head: Head | None = None, patience: float = 0.0) -> Iterator[Cluster]:
    """Joins the cluster at `address`; without one joins `head`, or starts Ray here and now. Leaves it at the end.

    patience: seconds to wait for a cluster at the address. Raises UserError if there is none that can be joined.
    """
    os.environ.update(ENVIRONMENT)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if address is not None:
        _join(address, quiet, patience)
    elif head is not None:
        with on_loopback():
            ray.init(address=head.address(), **quiet)
    else:
        with on_loopback():
            ray.init(**LOCAL, **quiet)
    watchdog = _Watchdog(ray.get_runtime_context().gcs_address)
    if address is not None:
        watchdog.start()
    try:
        yield Cluster(address is not None, head)
    finally:
        ray.shutdown()
        watchdog.leave()


def on_cluster(
    work: Callable[[Cluster], None],
    address: str | None,
    head: Head | None,
    lost: Callable[[str], None],
    patience: float = 300.0,
) -> None:
    """Calls `work` with a cluster, joined or started as `ray_cluster` does; again with another one when it is lost.

    lost: told what has happened. patience: seconds for which a cluster at an address may be away once it was there;
    its head may be started again meanwhile, but not within the ten seconds that Ray takes to leave it: then Ray
    aborts this process, and the same command goes on. Raises UserError if it stays away, or if Ray is lost five times
    within a minute of its start.
    """
    short_lived, waited = 0, 0.0
    with ExitStack() as stack:
        while True:
            try:
                with ray_cluster(address, head, waited) as cluster:
                    started = time.monotonic()
                    return work(cluster)
            except ClusterLost as error:
                lost(str(error))
                short_lived = short_lived + 1 if time.monotonic() - started < 60 else 0
                if short_lived == 5:
                    raise UserError(
                        Problem("ray", f"{error}, for the fifth time within a minute of its start")
                    ) from None
            waited = patience
            if address is None and head is not None:
                head = stack.enter_context(Head())


def _join(address: str, options: dict[str, Any], patience: float) -> None:
    """Joins the cluster there; one whose head has only just begun is tried again until the patience is spent."""
    deadline = time.monotonic() + patience
    while True:
        try:
            _knock(address)
            ray.init(address=address, runtime_env=_packages(), **options)
            return
        except (OSError, ValueError, OverflowError, RuntimeError, ray.exceptions.RayError) as error:
            ray.shutdown()  # what was begun
            if time.monotonic() >= deadline:
                raise UserError(Problem("--address", _refusal(error, patience), value=address)) from None
        time.sleep(1)


def _refusal(error: Exception, patience: float) -> str:
    """Why a cluster cannot be joined, and the remedy. patience: seconds for which it was waited for; 0 at the start."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if not patience:
        return (
            f"no Ray cluster can be joined there ({reason}); start one with `ray start --head`, or leave --address out"
        )
    return (
        f"no Ray cluster could be joined there within {patience:g} s of its loss ({reason}); "
        "start it again and give the same command: what has finished is kept"
    )


def _knock(address: str) -> None:
    """Raises OSError if nobody listens there: Ray itself would try for a quarter of an hour."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if host:  # else it is a word that Ray understands, such as auto
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _packages() -> dict[str, Any]:
    """Our packages for workers on other machines, which may not have this checkout, and their threads."""
    packages = [str(PROJECT / name) for name in ("experiments", "models", "utils")]
    return {"py_modules": packages, "env_vars": ONE_THREAD}


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
    until: Callable[[Run], int | None] = lambda run: None,
    claim: Callable[[Run], Claim] | None = None,
) -> None:
    """Executes every run of `queue` on the cluster that `ray_cluster` has joined.

    describe: a run's spec as JSON-like values. cpus, gpus: what one run occupies; where `claim` says what each one
    does, the least of that. slots: the most runs at once, None for as many as fit. check: called ten times a second;
    what it raises ends the sweep. timeout: seconds after which a run without a further epoch counts as hung, None for
    never. room: where results go, None for a disk that is never full. until: as in `LedgerSearcher`. Raises
    `ClusterLost` if `cluster` is; then the queue has what is left to do.
    """

    def at_once(occupied: Collection[Claim] = ()) -> int:
        capacity = available() if cluster is None else cluster.capacity
        return fitting(cpus, gpus, *capacity, most=slots, occupied=occupied)

    def check_all() -> None:
        check()
        if cluster is not None:
            cluster.check()
        if cluster is not None or claim is not None:
            searcher.at_once = at_once(searcher.claims.values())

    claimed = claim or (lambda run: Claim(cpus, gpus))
    searcher = LedgerSearcher(queue, observer, describe, execution, at_once(), room, check_all, until, claimed)
    with tempfile.TemporaryDirectory(prefix="sweep-ray-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(RunTrainable, _resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=Forgetful(),
                num_samples=-1,
                max_concurrent_trials=slots,
                reuse_actors=True,
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


def _resources(config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    """What an attempt occupies.

    Ray Tune gives it the process of a run before that occupied the same: a name of its own makes it another.
    """
    cpus, gpus = config[CLAIM]
    name = {"name": config[FRESH]} if FRESH in config else {}
    return tune.PlacementGroupFactory([{"CPU": cpus, "GPU": gpus}], **name)


def fitting(
    cpus: int,
    gpus: float,
    cores: float,
    accelerators: float,
    most: int | None = None,
    occupied: Collection[Claim] = (),
) -> int:
    """How many runs there is room for, at least one: those with the claims `occupied`, and more with these.

    most: at once, None for as many as fit.
    """
    cores -= sum(each.cpus for each in occupied)
    accelerators -= sum(each.gpus for each in occupied)
    # Three thirds of a GPU are a little more than one.
    rooms = (cores / cpus if cpus else math.inf, (accelerators + 1e-6) / gpus if gpus else math.inf, MOST_PENDING)
    fit = len(occupied) + max(0, int(min(rooms)))
    return max(1, fit if most is None else min(fit, most))
