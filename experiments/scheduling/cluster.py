"""Ray: started here or joined, and Ray Tune run on it with our queue."""

from __future__ import annotations

import logging
import math
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune

from experiments.scheduling.head import ENVIRONMENT, LOCAL, PROJECT, Head
from experiments.scheduling.queue import Run, RunQueue
from experiments.scheduling.searcher import LedgerSearcher, Observer, SweepCallback
from experiments.scheduling.trainable import RunTrainable
from experiments.training import EXECUTION
from utils.errors import Problem, UserError


@contextmanager
def ray_cluster(address: str | None, head: Head | None = None) -> Iterator[None]:
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
        yield
    finally:
        ray.shutdown()


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
) -> None:
    """Executes every run of `queue` on the cluster that `ray_cluster` has joined.

    describe: a run's spec as JSON-like values. cpus, gpus: what one run occupies. slots: the most runs
    at once, None for as many as fit. check: called ten times a second; what it raises ends the sweep.
    """
    at_once = _fitting(cpus, gpus) if slots is None else min(slots, _fitting(cpus, gpus))
    # Of itself Ray Tune starts the second worker when the first is up, the third when the second is, and so on.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once)
    searcher = LedgerSearcher(queue, observer, describe, execution, at_once)
    with tempfile.TemporaryDirectory(prefix="sweep-ray-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(RunTrainable, {"cpu": cpus, "gpu": gpus}),
            tune_config=tune.TuneConfig(
                search_alg=searcher, num_samples=-1, max_concurrent_trials=slots, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name="sweep", storage_path=scratch, verbose=0, callbacks=[SweepCallback(searcher, observer, check)]
            ),
        )
        tuner.fit()


def available() -> tuple[float, float]:
    """CPU cores and GPUs of the cluster."""
    resources = ray.cluster_resources()
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def _fitting(cpus: int, gpus: float) -> int:
    """How many runs with these claims the cluster has room for, at least one."""
    cores, accelerators = available()
    return max(1, int(min(cores / cpus if cpus else math.inf, accelerators / gpus if gpus else math.inf, 10_000)))
