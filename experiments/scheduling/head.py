"""Ray on this machine, in a process of its own, so that it starts while the driver still reads the data.

Ray takes seconds to start and one to stop, which the driver does not wait for. The process ends, and Ray with it,
when its standard input does: that is when the driver lets go of it or dies, however it dies.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]

MOST_PENDING = 10_000
"""The most workers that start at the same time."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""For workers: NumPy's and SciPy's linear algebra would have a thread for every core in each of them, and Ray sets but
the first, and that only if the user has not. A run then says itself how many torch has (`RunSpec.threads`)."""

# Read by Ray when it starts. Ray keeps no truth here, so it need not log, sync or snapshot anything.
ENVIRONMENT = {
    **ONE_THREAD,
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    # Of itself Ray Tune starts the second worker when the first is up, the third when the second is, and so on.
    "TUNE_MAX_PENDING_TRIALS_PG": str(MOST_PENDING),
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Of itself it starts a worker for every core as soon as a driver comes, and none of them is one that trains.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


# Runs share data by memory-mapped files, not by Ray's object store: the smallest will do.
# "local": else a cluster that was left running on this machine, or RAY_ADDRESS, would be joined.
LOCAL: dict[str, Any] = {"address": "local", "include_dashboard": False, "object_store_memory": 100 * 2**20}

# Ray's word for a machine that is nobody's cluster: its ports are then open to this machine alone. Read at import, and
# not part of ENVIRONMENT: a process that joins a cluster must not have it.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class Head:
    """Ray on this machine, starting from the moment that the object is made.

    The first must be made before Ray is imported here, which is when Ray reads how it proves who it is: both sides
    are given a token of their own, since whoever can join a cluster can run programs on it. A later one, in the
    place of one that is lost, has the same token.
    """

    def __init__(self) -> None:
        if not self.possible():
            raise RuntimeError("Ray is imported already and would not know this cluster's token")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process that writes it
        self._process = subprocess.Popen(
            # -P: the folder that the user is in holds no module of ours.
            [sys.executable, "-P", "-m", "experiments.scheduling.head"],
            env={**os.environ, **ENVIRONMENT, **_ALONE, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # Ctrl-C in the terminal is for the driver, which lets its runs and then Ray end.
            start_new_session=True,
        )

    def address(self) -> str:
        """Host and port to join it at; waits until it is up. Raises RuntimeError if it cannot be started."""
        assert self._process.stdout is not None
        address = self._process.stdout.readline().decode().strip()
        if not address:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"Ray cannot be started:\n{self._errors.read().decode(errors='replace')}")
        return address

    @staticmethod
    def possible() -> bool:
        """Whether one can be made: a Ray that was imported without a token could not join it."""
        return "ray" not in sys.modules or bool({"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ))

    @property
    def lost(self) -> bool:
        """Whether it has ended of itself, or has been killed."""
        return self._process.poll() is not None

    def __enter__(self) -> Head:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets it stop, without waiting for that."""
        for end in (self._process.stdin, self._process.stdout, self._errors):
            assert end is not None
            end.close()


@contextmanager
def on_loopback() -> Iterator[None]:
    """Ray that is started in here, in this process, has its ports open to this machine alone."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def dead_parts() -> list[str]:
    """The parts of the Ray that this process has started which have died and which nothing goes on without."""
    from ray._private import worker

    node = worker._global_node
    dead: list[str] = [kind for kind, _ in node.dead_processes()] if node is not None else []
    return [kind for kind in dead if kind in ("gcs_server", "raylet")]


def main() -> None:
    """Starts Ray, says where it is, and stops it at the end of the standard input.

    Ends with 1 as soon as a part of it has died: Ray itself would wait for it for a minute, or for ever.
    """
    import ray

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ray.init(**LOCAL, log_to_driver=False, logging_level=logging.ERROR)
    with suppress(BrokenPipeError):  # the driver has gone already
        print(ray.get_runtime_context().gcs_address, flush=True)
    threading.Thread(target=_watch, daemon=True).start()
    sys.stdin.buffer.read()
    _leaving.set()
    ray.shutdown()


_leaving = threading.Event()


def _watch() -> None:
    while not _leaving.wait(0.1):
        if dead_parts() and not _leaving.is_set():
            os._exit(1)  # the kernel ends Ray's other processes with this one


if __name__ == "__main__":
    main()
