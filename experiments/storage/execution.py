"""An attempt at a run on a machine of its own: what it reads comes from the store, what it leaves goes there."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from experiments.ledger.lock import RunLock
from experiments.storage.provisions import fetch, located
from experiments.storage.store import Store, StoreError
from experiments.storage.stored_run import StoredRun
from experiments.training.checkpoint import LAST
from experiments.training.execution import Execution, Progress
from experiments.training.spec import RunSpec

_Answer = TypeVar("_Answer")


class StoredExecution:
    """An `Execution` between two visits to the store.

    Before the first step it fetches what the run reads, and the run's state where the store's is further. Whenever
    there is a new checkpoint to go on from it puts what has changed, at the end the record, last. A run that has ended
    elsewhere meanwhile is not gone on with. A store that does not answer holds up the beginning and the end, for five
    minutes at the most; a checkpoint that cannot be put goes with the next.
    """

    training: ClassVar[Callable[[RunSpec], Any]] = Execution
    pauses: ClassVar[tuple[float, ...]] = (5, 10, 20, 40, 80, 160)
    """Seconds between attempts to reach the store."""

    def __init__(self, spec: RunSpec) -> None:
        assert spec.storage is not None, "a run without a store is executed by Execution"
        self._wanted, self.spec = spec, located(spec)
        self._store = Store(spec.storage)
        self._stored = StoredRun(self._store, spec.sweep, spec.configuration, spec.fold, self.spec.folder)
        self._execution: Any = None
        self._put_last: int | None = None

    def step(self) -> Progress:
        """Trains one epoch, or evaluates and commits after the last, as `Execution.step` does."""
        if self._execution is None:
            if self._patiently(self._stored.has_ended):
                return _elsewhere()
            self._patiently(self._fetch)
            self._execution = type(self).training(self.spec)
        try:
            progress: Progress = self._execution.step()
        except Exception:
            # Out of memory, say: what the next attempt has to do differently lies in the folder.
            self._patiently(self._stored.put_state)
            raise
        if progress.ended:
            self._patiently(self._stored.put_end)
            self._execution = None
            return progress
        return self._put(progress)

    def close(self) -> None:
        """As `Execution.close` does; what that keeps goes to the store, too."""
        if self._execution is None:
            return
        self._execution.close()
        try:
            self._put_checkpoint()
        except StoreError as error:
            warnings.warn(f"the last epochs are not in the store: {error}", stacklevel=2)

    def _fetch(self) -> None:
        fetch(self._store, self._wanted, self.spec)
        lock = RunLock(self.spec.folder)
        lock.acquire()
        try:
            self._stored.fetch_state()
        finally:
            lock.release()

    def _put(self, progress: Progress) -> Progress:
        try:
            if self._stored.has_ended():
                self._execution.close()
                self._execution = None
                self._stored.tidy()
                return _elsewhere()
            self._put_checkpoint()
        except StoreError as error:
            warnings.warn(f"epoch {progress.epoch} is not in the store: {error}", stacklevel=2)
        return progress

    def _put_checkpoint(self) -> None:
        """Puts the state, if there is another checkpoint than the last time: a table of epochs alone is of no use."""
        try:
            written = (self.spec.folder / LAST).stat().st_mtime_ns
        except FileNotFoundError:
            return  # none yet, or the run has ended
        if written != self._put_last:
            self._stored.put_state()
            self._put_last = written

    def _patiently(self, visit: Callable[[], _Answer]) -> _Answer:
        for pause in self.pauses:
            try:
                return visit()
            except StoreError as error:
                warnings.warn(f"{error}; trying again in {pause:g} s", stacklevel=2)
                time.sleep(pause)
        return visit()


def _elsewhere() -> Progress:
    """That of a run whose record is in the store: there is nothing to do."""
    return Progress(0, 0, None, ended=True)
