"""The finished runs of the tests of training, to be opened again; and a sweep of two of them, with its images."""

from __future__ import annotations

import csv
import json
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experiments.ledger.record import Record, read
from experiments.predict.__main__ import main
from utils.splits.folds import Fold, Split
from utils.splits.table import split_table

_TRAINING = runpy.run_path(str(Path(__file__).parents[1] / "training" / "conftest.py"))

bench, finished, finished_copy, threads = (
    _TRAINING[name] for name in ("bench", "finished", "finished_copy", "threads")
)

# The cache of the bench is made of these.
_DATA = {"dataset.options": {"cases": 24, "height": 64, "width": 80}, "dataset.preprocessing": ["median"]}


@dataclass(frozen=True)
class FinishedSweep:
    """The sweep ``tiny`` of one configuration on two folds. images: its data as files, in the layout of BUSI."""

    results: Path
    configuration: str
    images: Path

    def folder(self, fold: int) -> Path:
        return self.results / "runs" / "tiny" / self.configuration / f"fold-{fold}"

    def record(self, fold: int) -> Record:
        record = read(self.folder(fold))
        assert record is not None
        return record

    def cases(self, fold: int) -> dict[str, dict[str, str]]:
        """The rows of a run's ``cases.csv`` by case."""
        with (self.folder(fold) / "cases.csv").open(encoding="utf-8") as file:
            return {row["case"]: row for row in csv.DictReader(file)}


def write_leaderboard(results: Path, rows: list[tuple[str, str, str, str, str]]) -> None:
    """``tiny.csv`` of rows (rank, configuration, status, encoder, tied)."""
    columns = ("rank", "configuration", "status", "model.encoder", "tied_with_best", "folds")
    with (results / "tiny.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("rank", "configuration", "status", "model.encoder", "folds", "tied_with_best")])
        for row in rows:
            values = dict(zip(columns, (*row, "2"), strict=True))
            csv.writer(file).writerow(
                [values[name] for name in ("rank", "configuration", "status", "model.encoder", "folds")]
                + [values["tied_with_best"]]
            )


@pytest.fixture(scope="session")
def sweep(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> FinishedSweep:
    """Shared: tests that change files work on copies."""
    results = tmp_path_factory.mktemp("prediction") / "results"
    first: Fold = bench.fold
    second = Fold(1, train=first.test + first.train[6:], validation=first.validation, test=first.train[:6])
    root = results / "runs" / "tiny"
    (root / "splits").mkdir(parents=True)
    split_file = root / "splits" / f"{'e' * 12}.csv"
    split_file.write_text(split_table(Split((first, second)), bench.groups), encoding="utf-8")
    configuration = bench.spec(root / "splits", {"training.epochs": 3, **_DATA}).configuration
    for fold in range(2):
        folder = root / configuration / f"fold-{fold}"
        changes = {"training.epochs": 3, **_DATA}
        bench.execute(bench.spec(folder, changes, fold=fold, split_file=split_file))
    (root / "outcome.json").write_text(
        json.dumps({"complete": True, "configurations": 1, "runs": 2, "failed": 0, "finished": ""})
    )
    write_leaderboard(results, [("1", configuration, "complete", "tu-test_resnet", "true")])
    images = bench.dataset.write_busi_layout(tmp_path_factory.mktemp("images"))
    return FinishedSweep(results, configuration, images)


@pytest.fixture
def predict(sweep: FinishedSweep, tmp_path: Path) -> Callable[..., int]:
    """The command on the sweep, into ``tmp_path / "out"`` unless it says otherwise; its exit code."""

    def run(*arguments: object) -> int:
        given = [str(argument) for argument in arguments]
        output = [] if "--output" in given else ["--output", str(tmp_path / "out")]
        named = [] if "--sweep" in given else ["--sweep", "tiny"]
        return main([*named, "--results", str(sweep.results), *output, "--device", "cpu", *given])

    return run


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[], dict[str, dict[str, str]]]:
    """Reads ``predictions.csv``: name of the image -> row."""

    def read_rows() -> dict[str, dict[str, str]]:
        with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8") as file:
            return {row["image"]: row for row in csv.DictReader(file)}

    return read_rows
