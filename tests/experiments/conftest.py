"""For tests of what is built upon finished sweeps: a results folder that is filled by hand."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from experiments.ledger.record import Record, commit
from experiments.sweep import Settings, nested

SCORES = {"dice_mean": 0.5, "dice_ci_low": 0.4, "dice_ci_high": 0.6}
COLUMNS = ("rank", "configuration", "status", "folds", *SCORES, "tied_with_best", "params_millions")


class Results:
    """A results folder with sweeps as their files: a leaderboard and the records of its rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, sweep: str, *rows: dict[str, Any]) -> None:
        """A sweep by its rows, best first.

        A row may say: encoder, params, tied, rank, status, further settings of model and training, or the record's
        settings as a whole.
        """
        table = []
        for number, row in enumerate(rows, 1):
            id = f"{number:012x}"
            status = row.get("status", "complete")
            rank = row.get("rank", number if status == "complete" else "")
            tied = "" if rank == "" else "true" if row.get("tied", number == 1) else "false"
            table.append((rank, id, status, 1, *SCORES.values(), tied, row.get("params", "")))
            if status == "complete":
                model = {"encoder": row.get("encoder", "resnet18"), **row.get("model", {})}
                settings = Settings.model_validate({"model": model, "training": row.get("training", {})})
                record = Record(
                    sweep=sweep,
                    configuration=id,
                    fold=0,
                    status="complete",
                    code="1",
                    data="d",
                    split="s",
                    seed=1,
                    settings=row.get("settings", nested(settings)),
                )
                commit(record, self.record(sweep, number).parent)
        self.folder.mkdir(exist_ok=True)
        with (self.folder / f"{sweep}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])

    def record(self, sweep: str, number: int) -> Path:
        """The record of the row with this number, counted from 1."""
        return self.folder / "runs" / sweep / f"{number:012x}" / "fold-0" / "record.json"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """An empty ``results`` in the folder that the test then runs in."""
    monkeypatch.chdir(tmp_path)
    return Results(Path("results"))
