"""The driver's side of the store: what its runs read goes there, and what has ended comes into its ledger."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from experiments.ledger.proposals import PROPOSALS_FILE
from experiments.ledger.record import RECORD_FILE, Record, RecordError, read
from experiments.storage.provisions import Provider
from experiments.storage.store import DamageError, Store, StoreError
from experiments.storage.stored_run import StoredRun, records_of, settled_record
from experiments.training.spec import RunSpec
from utils.files import write_atomically
from utils.identity import file_digest


class StoreLost(BaseException):
    """The store has not answered for too long. Not an `Exception`: it is raised in the middle of Ray Tune."""

    def __init__(self, error: StoreError) -> None:
        self.error = error
        super().__init__(str(error))


class Depot:
    """Keeps a sweep's ledger and its store at one: of every run both have the same record, or none.

    pauses: seconds between attempts to reach the store while runs are executed. Raises StoreError as `Store` does.
    """

    def __init__(self, url: str, results: Path, sweep: str, pauses: tuple[float, ...] = (1, 5, 15, 30)) -> None:
        self.store, self._sweep, self._pauses = Store(url), sweep, pauses
        self._root = results.absolute() / "runs" / sweep
        self._provider = Provider(self.store)
        self._proposals = b""

    def collect(self) -> None:
        """Before the sweep: takes over every record that the ledger lacks, and sends those that the store lacks.

        Raises StoreError where the store cannot be used.
        """
        self.store.check()
        self._fetch_proposals()
        ended = records_of(self.store, self._sweep)
        for path in sorted(self._root.glob(f"*/fold-*/{RECORD_FILE}")):
            run = path.parent.parent.name, int(path.parent.name.removeprefix("fold-"))
            if run not in ended and _sound(path.parent):
                self._stored(*run).put_end()
                ended.append(run)
        for run in ended:
            self._settle(*run)

    def settle(self, configuration: str, fold: int) -> None:
        """Brings a run's record, and what its attempts have adjusted, to where it lacks. Raises `StoreLost`."""
        self._patiently(lambda: self._settle(configuration, fold))

    def forget(self, configuration: str, fold: int) -> None:
        """Deletes a failed run, which is to be repeated. To be called before the ledger forgets it."""
        self._stored(configuration, fold).forget()

    def provided(self, spec: RunSpec) -> RunSpec:
        """The spec for workers, when all that the run reads is in the store. Raises `StoreLost`."""
        self._patiently(lambda: self._provide(spec))
        return replace(spec, storage=self.store.url)

    def _provide(self, spec: RunSpec) -> None:
        for path in (spec.cache, spec.split_file, *([spec.weights] if spec.weights is not None else [])):
            self._provider.put(path)
        path = self._root / PROPOSALS_FILE
        # Whoever goes on elsewhere asks for the same configurations, of which this run is one.
        if path.exists() and (content := path.read_bytes()) != self._proposals:
            self.store.write(self._proposals_key, content)
            self._proposals = content

    def _settle(self, configuration: str, fold: int) -> None:
        folder, stored = self._folder(configuration, fold), self._stored(configuration, fold)
        if record := _sound(folder):
            if _is_settled(folder):
                return
            stored.put_end()
        try:
            end = stored.ended()
            if end is None:
                stored.fetch_adjustments()
            elif record is None or not _is_settled(folder):
                stored.fetch_end(end)
        except DamageError as error:
            warnings.warn(f"{configuration}, fold {fold}: {error}; the run will be repeated", stacklevel=2)
            stored.forget()

    def _fetch_proposals(self) -> None:
        path = self._root / PROPOSALS_FILE
        here, there = path.read_bytes() if path.exists() else b"", self.store.read(self._proposals_key)
        if there is not None and there != here and there.startswith(here):
            write_atomically(path, lambda file: file.write(there), durable=True)

    @property
    def _proposals_key(self) -> str:
        return f"proposals/{self._sweep}.jsonl"

    def _folder(self, configuration: str, fold: int) -> Path:
        return self._root / configuration / f"fold-{fold}"

    def _stored(self, configuration: str, fold: int) -> StoredRun:
        return StoredRun(self.store, self._sweep, configuration, fold, self._folder(configuration, fold))

    def _patiently(self, visit: Callable[[], None]) -> None:
        for pause in self._pauses:
            try:
                return visit()
            except StoreError:
                time.sleep(pause)
        try:
            visit()
        except StoreError as error:
            raise StoreLost(error) from None


def _sound(folder: Path) -> Record | None:
    """The record in a folder; None where there is none, or a damaged one, which the store may have whole."""
    try:
        return read(folder)
    except RecordError:
        return None


def _is_settled(folder: Path) -> bool:
    """Whether the record in a folder is known to be the store's."""
    return settled_record(folder) == file_digest(folder / RECORD_FILE)
