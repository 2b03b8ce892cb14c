"""Runs that can never run, recorded as failed without a worker, so that the rest of the sweep goes on."""

from __future__ import annotations

from datetime import UTC, datetime

from experiments.ledger import Ledger, Record
from experiments.ledger.record import commit
from experiments.preparation import PlannedConfiguration
from experiments.sweep import nested
from experiments.training import TRAINING_VERSION
from utils.identity import derive_seed


def record_impossible(planned: PlannedConfiguration, reason: str, ledger: Ledger) -> dict[tuple[str, int], Record]:
    """Commits a failed record for every run of a configuration that has none; answers those, by (id, fold).

    reason: as of `Preflight.impossible`. The driver must hold the sweep's lock.
    """
    settings = nested(planned.configuration.settings)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    committed = {}
    for fold in range(planned.folds):
        if ledger.get(planned.id, fold) is not None:
            continue
        record = Record(
            sweep=ledger.sweep,
            configuration=planned.id,
            fold=fold,
            status="failed",
            error=f"cannot run: {reason}",
            code=TRAINING_VERSION,
            data=planned.source.data,
            split=planned.split.hash,
            seed=derive_seed(settings["training"]["seed"], planned.id, fold),
            settings=settings,
            started=now,
            finished=now,
        )
        commit(record, ledger.folder(planned.id, fold))
        committed[planned.id, fold] = record
    return committed
