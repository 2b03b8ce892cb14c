"""Notes and images beside real trials in SQLite, read back with the dashboard's own functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import Trial

from experiments.leaderboard import Entry, Leaderboard
from experiments.ledger.record import Record
from experiments.study import StudyMirror, annotate, note_of, rows_of

BEST, SECOND, BROKEN, WAITING = "a" * 12, "b" * 12, "c" * 12, "d" * 12
CASES = 8


def record(id_: str, fold: int, **fields: Any) -> Record:
    known = {"sweep": "encoders", "code": "1", "data": "d", "split": "s", "seed": 1, "started": "2026-01-01T00:00:00Z"}
    return Record(**{**known, "configuration": id_, "fold": fold, "status": "complete", **fields})


@pytest.fixture
def leaderboard(tmp_path: Path) -> Leaderboard:
    """Two finished configurations of two folds, a failed one and one that waits."""
    varied = {BEST: "resnet18", SECOND: "vgg11", BROKEN: "odd|name_*", WAITING: "resnet50"}
    entries = [Entry(id_, name, {"model.encoder": name}, (0, 1)) for id_, name in varied.items()]
    board = Leaderboard("encoders", entries, "dice", "max", lambda id_, fold: tmp_path / id_ / str(fold), resamples=200)
    records = {}
    for id_, scores in ((BEST, (0.8, 0.9)), (SECOND, (0.4, 0.5))):
        for fold, score in enumerate(scores):
            rows = [f"{fold}-{case},g{case},x,x,{score + case / 100}" for case in range(CASES)]
            folder = tmp_path / id_ / str(fold)
            folder.mkdir(parents=True)
            (folder / "cases.csv").write_text("\n".join(["case,group,label,predicted,dice", *rows, ""]))
            (folder / "epochs.csv").write_text("epoch\n1\n")
            records[id_, fold] = record(id_, fold, metrics={"dice": score + 0.035}, adjustments=("micro-batch 2",))
    records[BROKEN, 0] = record(BROKEN, 0, status="failed", error="DivergedError: the loss became nan")
    board.update(records)
    return board


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[StudyMirror]:
    made = StudyMirror(tmp_path / "optuna.db", "encoders", "max", "dice")
    yield made
    made.close()


def attributes_of(study: optuna.Study) -> dict[str, Any]:
    return study._storage.get_study_system_attrs(study._study_id)


def notes(mirror: StudyMirror) -> dict[str, str]:
    from optuna_dashboard._note import get_note

    study = optuna.load_study(
        study_name="encoders", storage=f"sqlite:///{mirror.path}", sampler=optuna.samplers.RandomSampler()
    )
    trials = {trial.user_attrs["configuration"]: trial._trial_id for trial in study.get_trials()}
    return {configuration: get_note(Trial(study, trial)) for configuration, trial in trials.items()}


def shown(mirror: StudyMirror, configuration: str) -> dict[str, str]:
    """File name -> artifact id, as the dashboard lists them."""
    from optuna_dashboard.artifact._backend import list_trial_artifacts

    study = optuna.load_study(study_name="encoders", storage=f"sqlite:///{mirror.path}")
    [trial] = [trial for trial in study.get_trials() if trial.user_attrs["configuration"] == configuration]
    found = list_trial_artifacts(attributes_of(study), trial.system_attrs, trial)
    return {meta["filename"]: meta["artifact_id"] for meta in found}


def test_a_note_says_what_the_leaderboard_says(leaderboard: Leaderboard) -> None:
    text = {line.entry.id: note_of(leaderboard, line) for line in leaderboard.ranked()}
    summary = leaderboard.line(BEST).summary
    assert summary is not None
    score = summary.scores["dice"]
    assert "### resnet18" in text[BEST] and "**Rank 1**" in text[BEST]
    assert f"dice {score.mean:.4f}, 95 % interval {score.low:.4f} to {score.high:.4f} (2 of 2 folds)" in text[BEST]
    assert "| model.encoder | resnet18 |" in text[BEST] and "- fold 1: micro-batch 2" in text[BEST]
    assert "**Rank 2**" in text[SECOND]
    assert "Not ranked: failed." in text[BROKEN] and "- fold 0: DivergedError: the loss became nan" in text[BROKEN]
    assert r"| odd\|name\_\* |" in text[BROKEN], "a name must not break the table"
    assert "Not ranked: pending." in text[WAITING] and "dice" not in text[WAITING]
    assert "2026" not in "".join(text.values()), "times would make equal ledgers unequal"


def test_notes_and_images_are_there_once_however_often_they_are_written(
    mirror: StudyMirror, leaderboard: Leaderboard, tmp_path: Path
) -> None:
    store, image = tmp_path / "artifacts", tmp_path / "worst.png"
    image.write_bytes(b"\x89PNG first")
    mirror.sync(rows_of(leaderboard))
    for _ in range(2):
        annotate(mirror, leaderboard, store, {BEST: [image]})
        expected = {line.entry.id: note_of(leaderboard, line) for line in leaderboard.ranked()}
        assert notes(mirror) == expected
        [path] = store.iterdir()
        assert shown(mirror, BEST) == {"worst.png": path.name} and path.read_bytes() == b"\x89PNG first"
    attributes = attributes_of(optuna.load_study(study_name="encoders", storage=f"sqlite:///{mirror.path}"))
    versions = [value for key, value in attributes.items() if key.endswith(":note_ver")]
    assert versions == [1] * 4, "nothing was written a second time"
    assert shown(mirror, SECOND) == {}


def test_a_study_that_was_deleted_gets_the_same_again(
    mirror: StudyMirror, leaderboard: Leaderboard, tmp_path: Path
) -> None:
    store, image = tmp_path / "artifacts", tmp_path / "best.png"
    image.write_bytes(b"\x89PNG")
    mirror.sync(rows_of(leaderboard))
    annotate(mirror, leaderboard, store, {BEST: [image], SECOND: [image]})
    before = notes(mirror), shown(mirror, BEST), shown(mirror, SECOND), sorted(store.iterdir())
    assert mirror.path is not None
    mirror.path.unlink()
    mirror.sync(rows_of(leaderboard))
    assert shown(mirror, BEST) == {}
    annotate(mirror, leaderboard, store, {BEST: [image], SECOND: [image]})
    assert (notes(mirror), shown(mirror, BEST), shown(mirror, SECOND), sorted(store.iterdir())) == before


def test_what_has_changed_takes_the_place_of_what_was(
    mirror: StudyMirror, leaderboard: Leaderboard, tmp_path: Path
) -> None:
    store, image, other = tmp_path / "artifacts", tmp_path / "worst.png", tmp_path / "median.png"
    image.write_bytes(b"\x89PNG first")
    other.write_bytes(b"\x89PNG other")
    mirror.sync(rows_of(leaderboard))
    annotate(mirror, leaderboard, store, {BEST: [image, other]})
    first = shown(mirror, BEST)
    assert set(first) == {"worst.png", "median.png"}
    image.write_bytes(b"\x89PNG second")
    leaderboard.update({(BROKEN, 1): record(BROKEN, 1, status="failed", error="x" * 5000)})
    annotate(mirror, leaderboard, store, {BEST: [image]})
    second = shown(mirror, BEST)
    assert set(second) == {"worst.png"} and second != first
    assert (store / second["worst.png"]).read_bytes() == b"\x89PNG second"
    long = notes(mirror)[BROKEN]
    assert "x" * 5000 in long, "a note longer than a column is several attributes"
    leaderboard.update({(BROKEN, 1): record(BROKEN, 1, status="failed", error="short")})
    annotate(mirror, leaderboard, store)
    assert notes(mirror)[BROKEN] == note_of(leaderboard, leaderboard.line(BROKEN)) != long
    assert shown(mirror, BEST) == second, "who is not told of images keeps them"
