"""A finished sweep to be shown in dashboards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.books import Books
from experiments.opened import OpenedSweep, open_sweep
from experiments.sweep import Sweep


@pytest.fixture
def opened(finished_sweep: Callable[..., Sweep], tmp_path: Path) -> OpenedSweep:
    """Two configurations on two folds, one of which has failed; the tables are written, and the winner has networks."""
    sweep = finished_sweep({"good": 0.8, "bad": None})
    results = tmp_path / "results"
    found = open_sweep(sweep, results, lambda stage, done, total: None)
    books = Books(sweep, found.planned, results, found.ledger.folder, print)
    books.open(found.records)
    books.close()
    for run, record in found.records.items():
        if record.status == "complete":
            (found.ledger.folder(*run) / "best.pt").write_bytes(f"network of fold {run[1]}".encode())
    return found
