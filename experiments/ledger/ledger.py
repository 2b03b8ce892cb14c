"""All records of a sweep: ``results/runs/<sweep>/<configuration id>/fold-<i>/``."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.ledger.record import RECORD_FILE, Record, RecordError, read

# Inside a run's folder; a run that is started over begins without them.
STATE_FILES = ("last.pt", "best.pt", "epochs.csv", "cases.csv", "adjustments.json")


class Ledger:
    """Reads and keeps the records of one sweep.

    A record, once read and found sound, is kept in memory: it never changes on disk. failures: whether a failed run
    has a record; it has none in the eyes of those who are to repeat it.
    """

    def __init__(self, results: Path, sweep: str, *, failures: bool = True) -> None:
        self.sweep = sweep
        self.root = results / "runs" / sweep
        self._failures = failures
        self._records: dict[tuple[str, int], Record] = {}
        self._sections: dict[str, Any] = {}

    def folder(self, configuration: str, fold: int) -> Path:
        """Where a run keeps its files."""
        return self.root / configuration / f"fold-{fold}"

    def get(self, configuration: str, fold: int) -> Record | None:
        """The record of a run, or None where it has not ended.

        A damaged record is set aside with a warning, together with what the run left: it is redone.
        """
        key = (configuration, fold)
        if key in self._records:
            return self._records[key]
        folder = self.folder(configuration, fold)
        try:
            record = read(folder)
            if record is not None and (record.configuration, record.fold) != key:
                raise RecordError(f"{folder / RECORD_FILE} belongs to {record.configuration}, fold {record.fold}")
        except RecordError as error:
            warnings.warn(f"{error}; set aside, the run will be repeated", stacklevel=2)
            self._set_aside(folder, "damaged")
            return None
        if record is not None and record.status == "failed" and not self._failures:
            return None
        if record is not None:
            record = self._records[key] = self._lightened(record)
        return record

    def _lightened(self, record: Record) -> Record:
        """With settings and versions that are shared with the other records, most of which have the same."""

        def shared(section: Any) -> Any:
            return self._sections.setdefault(json.dumps(section), section)

        settings = {name: shared(section) for name, section in record.settings.items()}
        return record.model_copy(update={"settings": settings, "versions": shared(record.versions)})

    def records(self, runs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Record]:
        """The records that exist among `runs`, each ``(configuration id, fold)``."""
        found = {run: self.get(*run) for run in runs}
        return {run: record for run, record in found.items() if record is not None}

    def forget_failure(self, configuration: str, fold: int) -> None:
        """Sets a failed run's record aside, so that the run is repeated from its first epoch."""
        record = self.get(configuration, fold)
        if record is None or record.status != "failed":
            raise ValueError(f"{configuration}, fold {fold} has not failed")
        self._set_aside(self.folder(configuration, fold), "failed")
        del self._records[configuration, fold]

    def _set_aside(self, folder: Path, why: str) -> None:
        """Moves a run's files into a sub-folder of their own; nothing that was computed is deleted."""
        aside = folder / f"{why}-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1_000_000:06d}"
        aside.mkdir(parents=True)
        for name in (RECORD_FILE, *STATE_FILES):
            path = folder / name
            if path.exists():
                path.rename(aside / name)
