"""Locks: one driver a sweep, one worker a run.

Both are advisory locks that the kernel drops when their process dies, however it dies; there are no
stale locks to clean up. The owner is written beside the lock for the message to the second comer.
"""

from __future__ import annotations

import json
import os
import socket
from datetime import datetime
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from utils.errors import Problem, UserError
from utils.files import write_text_atomically


class SweepLock:
    """Held by the driver of a sweep; raises UserError naming the owner if another driver has it."""

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / "driver.lock", timeout=0)
        self._owner = folder / "driver.json"

    def __enter__(self) -> SweepLock:
        try:
            self._owner.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise UserError(Problem(str(self._owner.parent), self._refusal())) from None
        except (OSError, ValueError) as error:  # a file in its place, a read-only disk; a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else str(error)
            message = f"the results folder cannot be written to: {reason}; mend that, or name another with --results"
            raise UserError(Problem("--results", message, value=_shortened(self._owner.parent))) from None
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": datetime.now().isoformat(" ", "seconds")}
        write_text_atomically(self._owner, json.dumps(owner) + "\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner.unlink(missing_ok=True)
        self._lock.release()

    def _refusal(self) -> str:
        try:
            owner = json.loads(self._owner.read_text(encoding="utf-8"))
            who = f"process {owner['pid']} on {owner['host']}, started {owner['started']}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"  # it has the lock but has not yet said who it is
        return (
            f"this sweep is being driven by {who}; wait for it to end, stop it (Ctrl-C in its terminal), "
            "or give this sweep another `name` or `--results` folder"
        )


class RunLock:
    """Held by the worker of a run.

    After ``kill -9`` of a driver its workers live on for a moment. The next driver's worker waits here
    until the orphan is gone, so that two processes never write one run's checkpoints.
    """

    def __init__(self, folder: Path, patience: float = 60.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "run.lock", timeout=patience)

    def acquire(self) -> None:
        """Waits for the lock; raises filelock.Timeout when the patience (seconds) is spent."""
        self._lock.acquire()

    def release(self) -> None:
        """Gives the lock back; the file stays, since removing a lock file is a race."""
        self._lock.release()


def _shortened(path: Path, most: int = 300) -> str:
    text = str(path)
    return text if len(text) <= most else f"{text[:most]}..."
