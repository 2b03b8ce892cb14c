"""The study in real SQLite files, read back by Optuna itself and by the real dashboard over HTTP."""

from __future__ import annotations

import json
import math
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from experiments.leaderboard import Entry, Leaderboard
from experiments.ledger.record import Record
from experiments.study import StudyError, StudyMirror, StudyRow, distributions_of, row_of, rows_of

A, B, C, D = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[StudyMirror]:
    made = StudyMirror(tmp_path / "optuna.db", "encoders", "max", "dice")
    yield made
    made.close()


def pending(id_: str, **varied: Any) -> StudyRow:
    return StudyRow(id_, f"net {id_[0]}", varied or {"model.encoder": f"net-{id_[0]}"})


def complete(id_: str, *folds: float, **attributes: Any) -> StudyRow:
    done = dict(enumerate(folds))
    value = sum(folds) / len(folds)
    return replace(pending(id_), status="complete", folds=done, value=value, attributes=attributes)


def trials(mirror: StudyMirror) -> dict[str, FrozenTrial]:
    study = optuna.load_study(study_name=mirror.name, storage=f"sqlite:///{mirror.path}")
    return {trial.user_attrs["configuration"]: trial for trial in study.get_trials()}


def states(mirror: StudyMirror) -> dict[str, str]:
    return {id_: trial.state.name for id_, trial in trials(mirror).items()}


def all_kinds() -> list[StudyRow]:
    return [
        complete(A, 0.8, 0.9, 0.7, gflops=2.5, checkpoints=["a/best.pt"], specificity=math.nan),
        replace(pending(B), status="raced_out", folds={0: 0.2}, value=0.2),
        replace(pending(C), status="failed", folds={0: 0.9}, value=None),
        replace(pending(D), status="running", folds={0: 0.5}),
        pending("eeeeeeeeeeee"),
    ]


def test_a_study_shows_every_configuration_in_its_true_state(mirror: StudyMirror) -> None:
    mirror.sync(all_kinds())
    found = trials(mirror)
    assert list(states(mirror).values()) == ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]
    best = found[A]
    assert best.number == 0 and best.value == pytest.approx(0.8)
    assert best.intermediate_values == {0: 0.8, 1: 0.9, 2: 0.7}
    assert best.params == {"model.encoder": "net-a"}
    assert best.user_attrs == {
        "configuration": A,
        "name": "net a",
        "status": "complete",
        "model.encoder": "net-a",
        "gflops": 2.5,
        "checkpoints": ["a/best.pt"],
    }
    assert found[B].value == 0.2 and found[B].user_attrs["status"] == "raced_out"
    assert found[C].values is None and found[D].values is None


def test_a_study_grows_with_its_sweep(mirror: StudyMirror) -> None:
    mirror.sync([pending(A), pending(B)])
    mirror.started(A)
    assert states(mirror) == {A: "RUNNING", B: "WAITING"}
    assert trials(mirror)[A].datetime_start is not None
    mirror.fold_finished(A, 0, 0.8)
    mirror.fold_finished(A, 1, math.nan)
    assert trials(mirror)[A].intermediate_values == {0: 0.8} and states(mirror)[A] == "RUNNING"
    mirror.update([complete(A, 0.8, 0.9, 0.7, gflops=1.0), replace(pending(B), status="failed")])
    found = trials(mirror)
    assert states(mirror) == {A: "COMPLETE", B: "FAIL"}
    assert found[A].value == pytest.approx(0.8) and found[A].user_attrs["gflops"] == 1.0
    assert found[A].intermediate_values == {0: 0.8, 1: 0.9, 2: 0.7}
    # Late news of a trial that has ended, or of one that is not in the sweep, changes nothing.
    mirror.started(A)
    mirror.fold_finished(A, 2, 0.1)
    mirror.update([replace(pending(A), status="failed"), pending(C)])
    assert trials(mirror) == found


def test_synchronising_twice_changes_nothing(mirror: StudyMirror) -> None:
    mirror.sync(all_kinds())
    before, content = trials(mirror), mirror.path.read_bytes() if mirror.path else b""
    mirror.sync(all_kinds())
    again = StudyMirror(mirror.path or "", "encoders", "max", "dice")
    again.sync(all_kinds())
    again.close()
    assert trials(mirror) == before and mirror.path and mirror.path.read_bytes() == content


def test_a_dead_drivers_running_trials_are_adopted(mirror: StudyMirror) -> None:
    mirror.sync([pending(A), pending(B), pending(C)])
    for id_ in (A, B, C):
        mirror.started(id_)
    mirror.fold_finished(B, 0, 0.5)
    numbers = {id_: trial._trial_id for id_, trial in trials(mirror).items()}
    mirror.close()
    heir = StudyMirror(mirror.path or "", "encoders", "max", "dice")
    heir.sync([pending(A), replace(pending(B), folds={0: 0.5}), complete(C, 0.5, 0.6, 0.7)])
    assert states(mirror) == {A: "WAITING", B: "RUNNING", C: "COMPLETE"}
    assert {id_: trial._trial_id for id_, trial in trials(mirror).items()} == numbers
    heir.started(A)
    heir.close()
    assert states(mirror)[A] == "RUNNING"


def test_a_new_configuration_is_one_more_category(mirror: StudyMirror) -> None:
    rows = [complete(A, 0.8, 0.9, 0.7), complete(B, 0.6, 0.6, 0.6)]
    mirror.sync(rows)
    old = {trial._trial_id for trial in trials(mirror).values()}
    mirror.sync([*rows, pending(C)])
    found = trials(mirror)
    assert states(mirror) == {A: "COMPLETE", B: "COMPLETE", C: "WAITING"}
    choices = CategoricalDistribution(("net-a", "net-b", "net-c"))
    assert all(trial.distributions == {"model.encoder": choices} for trial in found.values())
    assert [trial.number for trial in found.values()] == [0, 1, 2]
    # An open dashboard keeps ended trials by their ids: those of the old study must not come back.
    assert old.isdisjoint(trial._trial_id for trial in found.values())
    assert optuna.get_all_study_names(f"sqlite:///{mirror.path}") == ["encoders"]


def test_what_is_drawn_is_added_with_the_distributions_of_its_space(tmp_path: Path) -> None:
    lr, optimizer = FloatDistribution(1e-5, 1e-1, log=True), CategoricalDistribution(("adamw", "sgd"))
    space = {"training.lr": lr, "training.optimizer": optimizer, "training.momentum": FloatDistribution(0, 0.9)}
    mirror = StudyMirror(tmp_path / "optuna.db", "search", "max", "dice", space)
    mirror.sync([])
    first = pending(A, **{"training.lr": 1e-3, "training.optimizer": "adamw"})
    mirror.add(first)
    mirror.add(first)
    mirror.started(A)
    number = trials(mirror)[A]._trial_id
    mirror.add(pending(B, **{"training.lr": 1e-2, "training.optimizer": "sgd", "training.momentum": 0.5}))
    found = trials(mirror)
    assert states(mirror) == {A: "RUNNING", B: "WAITING"} and found[A]._trial_id == number
    assert found[A].distributions == {"training.lr": lr, "training.optimizer": optimizer}
    assert found[B].distributions == space and found[B].params["training.momentum"] == 0.5
    # Ended, and met again with another draw: nothing is made anew.
    mirror.update([replace(first, status="complete", folds={0: 0.5}, value=0.5)])
    mirror.close()
    heir = StudyMirror(tmp_path / "optuna.db", "search", "max", "dice", space)
    rows = [replace(first, status="complete", folds={0: 0.5}, value=0.5)]
    rows.append(pending(B, **{"training.lr": 1e-2, "training.optimizer": "sgd", "training.momentum": 0.5}))
    heir.sync([*rows, pending(C, **{"training.lr": 1e-4, "training.optimizer": "sgd", "training.momentum": 0.1})])
    assert states(heir) == {A: "COMPLETE", B: "WAITING", C: "WAITING"} and trials(heir)[A]._trial_id == number
    heir.close()


def test_a_study_whose_rows_are_all_known_takes_no_more(mirror: StudyMirror) -> None:
    mirror.sync([pending(A)])
    with pytest.raises(ValueError, match="distributions"):
        mirror.add(pending(B))


def test_a_configuration_that_left_the_sweep_leaves_the_study(mirror: StudyMirror) -> None:
    mirror.sync([complete(A, 0.8, 0.9, 0.7), pending(B)])
    mirror.sync([complete(A, 0.8, 0.9, 0.7)])
    assert states(mirror) == {A: "COMPLETE"}


def test_a_failure_that_is_tried_again_waits_again(mirror: StudyMirror) -> None:
    mirror.sync([replace(pending(A), status="failed"), pending(B)])
    mirror.sync([pending(A), pending(B)])
    assert states(mirror) == {A: "WAITING", B: "WAITING"}


def test_another_direction_makes_another_study(mirror: StudyMirror) -> None:
    mirror.sync([complete(A, 0.8, 0.9, 0.7)])
    other = StudyMirror(mirror.path or "", "encoders", "min", "hd95")
    other.sync([complete(A, 8.0, 9.0, 7.0)])
    other.close()
    study = optuna.load_study(study_name="encoders", storage=f"sqlite:///{mirror.path}")
    assert study.direction.name == "MINIMIZE" and study.best_value == 8.0 and study.user_attrs == {"objective": "hd95"}


def test_other_sweeps_studies_are_left_alone(mirror: StudyMirror) -> None:
    other = StudyMirror(mirror.path or "", "decoders", "max", "dice")
    other.sync([complete(D, 0.5)])
    mirror.sync([pending(A)])
    mirror.sync([pending(B)])
    assert states(other) == {D: "COMPLETE"} and states(mirror) == {B: "WAITING"}
    other.close()


def test_a_rebuild_that_was_killed_is_finished(mirror: StudyMirror, tmp_path: Path) -> None:
    mirror.sync([complete(A, 0.8), complete(B, 0.7)])
    storage = mirror.storage
    # What is on the disk when the driver dies after the old study was deleted.
    storage.create_new_trial(storage.create_new_study([mirror.direction], "encoders, being rebuilt 1"))
    storage.delete_study(storage.get_study_id_from_name("encoders"))
    mirror.sync([complete(A, 0.8), complete(B, 0.7)])
    assert states(mirror) == {A: "COMPLETE", B: "COMPLETE"}
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path / 'optuna.db'}") == ["encoders"]


def test_a_deleted_database_is_noticed_and_made_again(mirror: StudyMirror) -> None:
    mirror.sync([complete(A, 0.8)])
    assert not mirror.lost and mirror.path
    mirror.path.unlink()
    assert mirror.lost
    mirror.sync([complete(A, 0.8), pending(B)])
    assert not mirror.lost and states(mirror) == {A: "COMPLETE", B: "WAITING"}


@pytest.mark.parametrize("damage", ["text", "torn", "other version"])
def test_a_damaged_database_is_set_aside(mirror: StudyMirror, damage: str) -> None:
    path = mirror.path
    assert path
    mirror.sync(all_kinds())
    mirror.close()
    if damage == "text":
        path.write_text("this is no database, but is long enough to be looked at as one " * 20)
    elif damage == "torn":
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3 // 4096 * 4096])
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = 'v1.3.0.a'")
            connection.commit()
    broken = path.read_bytes()
    with pytest.warns(UserWarning, match="cannot be used"):
        mirror.sync(all_kinds())
    assert list(states(mirror).values()) == ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]
    (aside,) = path.parent.glob("optuna.db.damaged-*")
    assert aside.read_bytes() == broken


def test_a_study_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="encoders"):
        StudyMirror(tmp_path / "file" / "optuna.db", "encoders", "max").sync([pending(A)])
    with pytest.raises(StudyError, match="not open"):
        _ = StudyMirror(tmp_path / "optuna.db", "encoders", "max").storage


def test_a_complete_configuration_without_a_value_is_no_complete_trial(mirror: StudyMirror) -> None:
    mirror.sync([replace(complete(A, 0.5), value=math.nan, folds={})])
    assert states(mirror) == {A: "FAIL"} and trials(mirror)[A].user_attrs["status"] == "complete"


def test_numbers_are_ranges_and_everything_else_is_categories() -> None:
    rows = [
        pending(A, lr=1e-4, size=256, width=1.0, head=True, patience=None, decoder="unet", name="base"),
        pending(B, lr=1e-2, size=128, width=2, head=False, patience=5, decoder={"fpn": {"width": 2}}, name="fpn"),
        pending(C, lr=1e-2, size=128),
    ]
    assert distributions_of(rows) == {
        "lr": FloatDistribution(1e-4, 1e-2, log=True),
        "size": IntDistribution(128, 256),
        "width": FloatDistribution(1.0, 2.0),
        "head": CategoricalDistribution((True, False)),
        "patience": CategoricalDistribution((None, 5)),
        "decoder": CategoricalDistribution(("unet", '{"fpn":{"width":2}}')),
    }


def test_every_kind_of_value_comes_back_and_fits(mirror: StudyMirror) -> None:
    rows = [
        pending(
            A, lr=1e-4, head=True, patience=None, decoder="unet", preprocessing=["median", {"clahe": {"tiles": 8}}]
        ),
        pending(B, lr=1e-2, head=False, patience=5, decoder={"fpn": {"width": 2}}, preprocessing=[]),
    ]
    mirror.sync(rows)
    first = {id_: trial._trial_id for id_, trial in trials(mirror).items()}
    found = trials(mirror)[A]
    assert found.params == {
        "lr": 1e-4,
        "head": True,
        "patience": None,
        "decoder": "unet",
        "preprocessing": '["median",{"clahe":{"tiles":8}}]',
    }
    assert found.user_attrs["preprocessing"] == ["median", {"clahe": {"tiles": 8}}]
    mirror.sync(rows)
    assert {id_: trial._trial_id for id_, trial in trials(mirror).items()} == first


def test_several_threads_may_report_at_once(mirror: StudyMirror) -> None:
    ids = [f"{number:012x}" for number in range(8)]
    mirror.sync([pending(id_) for id_ in ids])
    errors: list[BaseException] = []

    def evaluate(id_: str) -> None:
        try:
            for fold in range(3):
                mirror.started(id_)
                mirror.fold_finished(id_, fold, 0.5 + fold / 10)
            mirror.update([complete(id_, 0.5, 0.6, 0.7)])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=evaluate, args=(id_,)) for id_ in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors and set(states(mirror).values()) == {"COMPLETE"}
    assert all(len(trial.intermediate_values) == 3 for trial in trials(mirror).values())


def test_rows_of_a_leaderboard(tmp_path: Path) -> None:
    def record(id_: str, fold: int, **content: Any) -> Record:
        return Record(sweep="s", configuration=id_, fold=fold, code="1", data="d", split="p", seed=1, **content)

    leaderboard = Leaderboard(
        "s",
        [Entry(A, "one", {"model.encoder": "x"}), Entry(B, "two", {"model.encoder": "y"}), Entry(C, "three")],
        "dice",
        "max",
        lambda id_, fold: tmp_path / id_ / str(fold),
    )
    leaderboard.update(
        {
            (A, 0): record(A, 0, status="complete", metrics={"dice": 0.5, "auroc": None}, params_millions=3.0),
            (B, 0): record(B, 0, status="complete", metrics={"dice": 0.7}, started="2024-05-01T10:00:00"),
            (B, 1): record(B, 1, status="failed", error="out of memory"),
        },
        running=[(A, 1)],
    )
    rows = rows_of(leaderboard)
    assert [(row.id, row.status, row.folds) for row in rows] == [
        (A, "running", {0: 0.5}),
        (B, "failed", {0: 0.7}),
        (C, "pending", {}),
    ]
    assert rows[0].attributes["checkpoints"] == [str(tmp_path / A / "0" / "best.pt")]
    assert rows[0].attributes["params_millions"] == 3.0 and rows[1].attributes["errors"] == ["out of memory"]
    assert row_of(leaderboard, leaderboard.line(B)) == rows[1] and rows[1].started == "2024-05-01T10:00:00"
    assert [row.state for row in rows] == [TrialState.RUNNING, TrialState.FAIL, TrialState.WAITING]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(port: int, path: str) -> Any:
    # Straight to the loopback, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


def until(condition: Any, seconds: float = 60.0) -> Any:
    """The first truthy answer; the dashboard needs a moment to start, and looks at the database now and then."""
    end, met = time.monotonic() + seconds, None
    while True:
        try:
            if answer := condition():
                return answer
        except OSError as error:
            met = error
        if time.monotonic() > end:
            raise AssertionError("the dashboard did not show it in time") from met
        time.sleep(0.2)


@pytest.mark.slow
def test_the_dashboard_shows_the_study_while_it_runs(mirror: StudyMirror) -> None:
    mirror.sync([pending(A), pending(B), pending(C)])
    port = free_port()
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), f"sqlite:///{mirror.path}"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref", "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def shown() -> dict[str, dict[str, Any]]:
        (study,) = ask(port, "/api/studies")["study_summaries"]
        assert study["study_name"] == "encoders" and study["directions"] == ["maximize"]
        found = ask(port, f"/api/studies/{study['study_id']}")["trials"]
        for trial in found:
            trial["attributes"] = {item["key"]: item["value"] for item in trial["user_attrs"]}
        return {trial["attributes"]["configuration"]: trial for trial in found}

    def shown_states() -> dict[str, str]:
        return {id_: trial["state"] for id_, trial in shown().items()}

    try:
        until(lambda: shown_states() == {A: "Waiting", B: "Waiting", C: "Waiting"})
        mirror.started(A)
        mirror.fold_finished(A, 0, 0.75)
        until(lambda: shown_states() == {A: "Running", B: "Waiting", C: "Waiting"})
        running = until(lambda: next((trial for trial in [shown()[A]] if trial["intermediate_values"]), None))
        assert running["intermediate_values"] == [{"step": 0, "value": 0.75}]
        ended = [
            complete(A, 0.75, 0.85, 0.8, dice=0.8, params_millions=11.5, train_seconds=61.5),
            replace(pending(B), status="raced_out", folds={0: 0.25}, value=0.25),
            replace(pending(C), status="failed"),
        ]
        mirror.update(ended)
        until(lambda: shown_states() == {A: "Complete", B: "Pruned", C: "Fail"})
        best = shown()[A]
        assert best["values"] == [pytest.approx(0.8)]
        assert [item["value"] for item in best["intermediate_values"]] == [0.75, 0.85, 0.8]
        assert best["attributes"]["params_millions"] == "11.5" and best["attributes"]["name"] == "net a"
        (parameter,) = best["params"]
        assert (parameter["name"], parameter["param_external_value"]) == ("model.encoder", "net-a")
        # One more encoder: the study is made anew under an open dashboard, which must not mix the two up.
        mirror.sync([*ended, complete(D, 0.9, 0.9, 0.9, dice=0.9)])
        until(lambda: shown_states() == {A: "Complete", B: "Pruned", C: "Fail", D: "Complete"})
        assert shown()[D]["values"] == [pytest.approx(0.9)]
    finally:
        server.terminate()
        server.wait(20)
