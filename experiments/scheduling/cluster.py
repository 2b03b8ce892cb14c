"""Ray: started here or joined, and Ray Tune run on it with our queue."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from experiments.scheduling.queue import Run, RunQueue
from experiments.scheduling.searcher import LedgerSearcher, Observer, SweepCallback
from experiments.scheduling.trainable import DEFAULT_EXECUTION, RunTrainable
from utils.errors import Problem, UserError

PROJECT = Path(__file__).resolve().parents[2]

# Read by Ray when it starts. Ray keeps no truth here, so it need not log, sync or snapshot anything.
_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def ray_cluster(address: str | None) -> Iterator[None]:
    """Joins the cluster at `address`, or starts one of this machine's cores and GPUs; leaves it at the end.

    Raises UserError if there is no cluster at `address`.
    """
    os.environ.update(_ENVIRONMENT)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    try:
        if address is None:
            # Runs share data by memory-mapped files, not by Ray's object store: the smallest will do.
            ray.init(include_dashboard=False, object_store_memory=100 * 2**20, **quiet)
        else:
            ray.init(address=address, runtime_env=_packages(), **quiet)
    except (ConnectionError, ValueError) as error:
        message = f"no Ray cluster answers there ({error}); start one with `ray start --head`, or leave --address out"
        raise UserError(Problem("--address", message, value=address)) from None
    try:
        yield
    finally:
        ray.shutdown()


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
    execution: str = DEFAULT_EXECUTION,
) -> None:
    """Executes every run of `queue` on the cluster that `ray_cluster` has joined.

    describe: a run's spec as JSON-like values. cpus, gpus: what one run occupies. slots: the most runs
    at once, None for as many as fit. check: called ten times a second; what it raises ends the sweep.
    """
    searcher = LedgerSearcher(queue, observer, describe, execution)
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
