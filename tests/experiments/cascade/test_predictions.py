from __future__ import annotations

import csv
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.cascade import predict_out_of_fold, predictions_of
from experiments.sweep.file.predictions import predictions_folder
from utils.datasets.opening import open_dataset
from utils.errors import UserError
from utils.images.reading import read_mask
from utils.splits.folds import split_from_file

# Text of the sweep files, as in conftest.py.
FIRST, SECOND = (runpy.run_path(str(Path(__file__).with_name("conftest.py")))[name] for name in ("FIRST", "SECOND"))


def silent(stage: str, done: int, total: int) -> None:
    assert 0 < done <= total == 24


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Name -> time and content of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize("draws_all", [0, 1])
def test_a_case_is_answered_by_the_network_whose_test_part_held_it(first_stage: Any, draws_all: int) -> None:
    """One network draws every pixel and the other none: what was drawn tells who was asked."""
    first = first_stage(draws_all=draws_all)
    folder = predict_out_of_fold(first.results, first.winner, silent)
    folds = first.planned.split.folds
    rows = {row["case"]: row for row in rows_of(folder)}
    assert len(rows) == 24
    for fold in folds:
        for case in fold.test:
            row = rows[case]
            whole = f"0 0 {row['height']} {row['width']}" if fold.index == draws_all else ""
            assert (row["fold"], row["all"], row["largest"]) == (str(fold.index), whole, whole)
            assert read_mask(folder / "masks" / row["mask"]).all() == (fold.index == draws_all)
            assert row["group"] == first.planned.source.audit.groups[case]
    cases, groups = list(rows), {case: row["group"] for case, row in rows.items()}
    assert split_from_file(folder / "folds.csv", cases, groups).hash == first.planned.split.hash


def test_the_second_stage_reads_what_the_first_has_found(first_stage: Any) -> None:
    first = first_stage()
    sweep = first.load_second()
    assert predictions_of(sweep, first.results) == {"first": False}
    folder = predict_out_of_fold(first.results, sweep.predicted[0], silent)
    assert predictions_of(sweep, first.results) == {"first": True}
    settings = sweep.settings
    assert settings.dataset.root == folder and settings.folds.from_file == folder / "folds.csv"
    dataset = open_dataset(settings.dataset.name, settings.dataset.root, dict(settings.dataset.options))
    tested = set(first.planned.split.folds[first.draws_all].test)
    assert {case.id for case in dataset.cases() if case.attributes["crop"] != "whole"} == tested


def test_who_is_killed_goes_on_where_he_was(first_stage: Any) -> None:
    first = first_stage()
    folder = predict_out_of_fold(first.results, first.winner, silent)
    before = state_of(folder)
    assert predict_out_of_fold(first.results, first.winner, silent) == folder
    assert state_of(folder) == before, "what is complete is left alone"
    # As if killed within the second batch of the first fold.
    (folder / "boxes.csv").unlink()
    batch = [row["mask"] for row in sorted(rows_like(before), key=lambda row: row["case"]) if row["fold"] == "0"][8:]
    for mask in batch[:2]:
        (folder / "masks" / mask).unlink()
    predict_out_of_fold(first.results, first.winner, silent)
    after = state_of(folder)
    assert {name: content for name, (_, content) in after.items()} == {
        name: content for name, (_, content) in before.items()
    }
    written = {name for name in after if name.startswith("masks/") and after[name] != before[name]}
    # Together through the network as before: a whole batch, and nothing but it.
    assert {f"masks/{mask}" for mask in batch[:2]} <= written and len(written) <= 8


def rows_like(state: dict[str, tuple[int, bytes]]) -> list[dict[str, str]]:
    return list(csv.DictReader(state["boxes.csv"][1].decode().splitlines()))


def test_another_first_stage_has_another_folder(first_stage: Any) -> None:
    first = first_stage()
    known = predictions_folder(first.results, first.winner)
    assert predictions_folder(first.results, first.winner) == known
    other = first_stage(draws_all=1, text=first.sweep.source.read_text().replace("k: 2", "k: 2, seed: 1"))
    assert predictions_folder(other.results, other.winner) != known


def test_a_first_stage_that_lacks_a_fold_is_refused(first_stage: Any) -> None:
    first = first_stage()
    winner = first.winner
    shutil.rmtree(first.results / "runs" / "first" / first.planned.id / "fold-1")
    with pytest.raises(UserError, match="the winner of first: its folds 1 have no complete run"):
        predict_out_of_fold(first.results, winner, silent)


def test_data_that_have_changed_are_refused(first_stage: Any) -> None:
    first = first_stage()
    winner = first.winner
    settings = {**winner.settings, "dataset": {**winner.settings["dataset"], "options": {"cases": 24, "seed": 8}}}
    with pytest.raises(UserError, match="its data are no longer those that it was trained on"):
        predict_out_of_fold(first.results, replace(winner, settings=settings), silent)


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("${predictions:frist}", "frist has no results in .*; did you mean 'first'"),
        ("${predictions:second}", "refers to the sweep that it stands in"),
        ("${predictions:}", "is no reference"),
        ("a/${predictions:first}", "is no reference|must be the whole"),
    ],
)
def test_a_reference_that_leads_nowhere_says_so(first_stage: Any, root: str, words: str) -> None:
    first = first_stage()
    with pytest.raises(UserError, match=words):
        first.load_second(SECOND.replace("${predictions:first}", root))


def test_a_first_stage_that_does_not_test_every_case_is_refused(first_stage: Any) -> None:
    first = first_stage(FIRST.replace("k: 2", "k: 2, use: 1"))
    with pytest.raises(UserError, match="needs a prediction for every case, but first runs only 1 of its 2 folds"):
        first.load_second()
