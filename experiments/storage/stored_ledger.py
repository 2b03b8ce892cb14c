"""The ledger of a sweep whose runs are executed on machines that do not see its folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from experiments.ledger import Ledger, Record
from experiments.storage.depot import Depot


class StoredLedger(Ledger):
    """A ledger that asks the store before it answers for a run, and tells it which runs are to be repeated."""

    def __init__(self, results: Path, sweep: str, depot: Depot) -> None:
        super().__init__(results, sweep)
        self._depot = depot

    def get(self, configuration: str, fold: int) -> Record | None:
        """The record of a run, wherever it was executed. Raises `StoreLost`."""
        self._depot.settle(configuration, fold)
        return super().get(configuration, fold)

    def records(self, runs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Record]:
        """The records that are here: all there were when the sweep began, and those asked for one by one since."""
        found = {run: super(StoredLedger, self).get(*run) for run in runs}
        return {run: record for run, record in found.items() if record is not None}

    def forget_failure(self, configuration: str, fold: int) -> None:
        """As `Ledger.forget_failure`, in the store first: else it would come back from there."""
        record = super().get(configuration, fold)
        if record is not None and record.status == "failed":
            self._depot.forget(configuration, fold)
        super().forget_failure(configuration, fold)
