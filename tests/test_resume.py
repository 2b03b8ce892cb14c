"""Exactly once: a sweep that is killed, extended, shortened or robbed of its tables comes to the same results."""

from __future__ import annotations

import csv
import io
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

import run_sweep

pytestmark = pytest.mark.slow

WALL_CLOCK = {"train_seconds", "inference_ms", "peak_memory_mb", "seconds"}
TABLES = ["tiny.csv", "tiny_audit.csv", "tiny_cases.csv", "tiny_epochs.csv", "tiny_folds.csv"]
ENCODERS = "shufflenet_v2_x0_5, tu-mobilenetv3_small_050"
THIRD = "tu-mobilenetv3_small_075"


@pytest.fixture(scope="module")
def undisturbed(workspace_in: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tiny sweep, run to its end in one go. Tests that change anything take a copy."""
    workspace = workspace_in(tmp_path_factory.mktemp("undisturbed"))
    output = workspace.run()
    assert "6 of 6 runs complete" in output
    assert "Slot time: " in output and "training" in output.split("Slot time: ")[1]
    assert set(workspace.attempts().values()) == {1} and len(workspace.records()) == 6
    assert list(workspace.tables()) == TABLES
    return workspace


def resume(workspace: Any, *arguments: str) -> None:
    """Gives the command again in this process, which is quicker where there is nothing left to train."""
    assert run_sweep.main([str(workspace.file), "--results", str(workspace.results), "--no-report", *arguments]) == 0


def without_wall_clock(tables: Mapping[str, str]) -> dict[str, str]:
    """The tables without the columns that a clock or a memory gauge filled."""
    return {name: _without_columns(text, WALL_CLOCK) for name, text in tables.items()}


def _without_columns(text: str, dropped: set[str]) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    kept = [column for column, name in enumerate(rows[0]) if name not in dropped]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([row[column] for column in kept] for row in rows)
    return out.getvalue()


def rows_of(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table)))


def trials_of(workspace: Any) -> dict[str, FrozenTrial]:
    """Configuration -> its trial. Fails if one has several."""
    trials = optuna.load_study(study_name="tiny", storage=f"sqlite:///{workspace.results / 'optuna.db'}").trials
    found = {trial.user_attrs["configuration"]: trial for trial in trials}
    assert len(found) == len(trials)
    return found


def shown(trials: Mapping[str, FrozenTrial]) -> dict[str, Any]:
    """What the study says about results; neither wall clock nor paths."""
    return {id: (t.state, t.values, t.params, t.intermediate_values) for id, t in trials.items()}


def assert_truthful(workspace: Any) -> None:
    """One complete trial for each row of the leaderboard, with the row's mean and a value for each fold."""
    rows, trials = rows_of(workspace.tables()["tiny.csv"]), trials_of(workspace)
    assert set(trials) == {row["configuration"] for row in rows}
    for row in rows:
        trial = trials[row["configuration"]]
        assert (row["status"], trial.state) == ("complete", TrialState.COMPLETE)
        assert trial.value == pytest.approx(float(row["dice_mean"]), abs=1e-5)
        assert list(trial.intermediate_values) == list(range(int(row["folds"])))
        assert trial.params["model.encoder"] == row["model.encoder"]


def test_kill_9_of_driver_and_worker_at_random_moments_changes_nothing(workspace: Any, undisturbed: Any) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
    chance = random.Random(seed)
    print(f"KILL_SEED={seed} repeats the moments")

    # The driver, while it has no run done, or some, but never so late that it might be through.
    done = chance.randrange(0, 4)
    driver = workspace.start("--no-report")
    driver.until(lambda: driver.workers() and len(workspace.records()) >= done, f"worker and {done} records")
    time.sleep(chance.uniform(0, 0.7))
    driver.process.kill()
    finished, begun = workspace.records(), workspace.attempts()
    assert driver.wait() == -signal.SIGKILL
    print(f"driver killed with {len(finished)} of 6 runs done, {len(begun)} begun")

    # At once again, while the workers of the dead driver may still be there; now a worker.
    again = workspace.start("--no-report")
    done = chance.randrange(len(finished), 5)
    again.until(lambda: again.workers() and len(workspace.records()) >= done, f"worker and {done} records")
    time.sleep(chance.uniform(0, 0.7))
    again.until(again.workers, "worker")
    before_second, begun_before_second = workspace.records(), workspace.attempts()
    chance.choice(again.workers()).kill()
    print(f"worker killed with {len(before_second)} of 6 runs done, {sum(begun_before_second.values())} attempts")
    assert again.wait() == 0, again.output
    left = driver.survivors(0)
    print(f"{len(left)} processes of the killed driver left", *left)

    ended = workspace.records()
    assert "tiny: 6 runs, 6 done already" in workspace.run("--no-report")
    assert workspace.records() == ended

    # Nothing that was finished at a kill was begun, let alone written, again.
    attempts = workspace.attempts()
    for earlier, counts in ((finished, begun), (before_second, begun_before_second)):
        assert {run: ended[run] for run in earlier} == earlier
        assert {run: attempts[run] for run in earlier} == {run: counts[run] for run in earlier}
    # A kill costs an attempt at most for each of the runs that it interrupts: two of the driver's, one worker's.
    assert len(attempts) == 6 and sum(attempts.values()) <= 6 + 2 + 1

    assert without_wall_clock(workspace.tables()) == without_wall_clock(undisturbed.tables())
    assert_truthful(workspace)
    assert shown(trials_of(workspace)) == shown(trials_of(undisturbed))


def test_tables_and_study_can_be_deleted_and_are_rebuilt_to_the_byte(undisturbed: Any, tmp_path: Path) -> None:
    workspace = undisturbed.copy(tmp_path)
    for path in [*workspace.results.glob("*.csv"), *workspace.results.glob("optuna.db*")]:
        path.unlink()
    before = workspace.records()
    resume(workspace)
    assert workspace.tables() == undisturbed.tables()
    assert workspace.records() == before
    assert_truthful(workspace)
    assert shown(trials_of(workspace)) == shown(trials_of(undisturbed))


def test_an_encoder_added_trains_three_runs_and_removed_leaves_its_record(undisturbed: Any, tmp_path: Path) -> None:
    workspace = undisturbed.copy(tmp_path)
    before = workspace.records()
    # Neither order nor neighbours are part of a configuration.
    with_third = ("--set", f"search.grid={{model.encoder: [{THIRD}, {ENCODERS}]}}")
    output = workspace.run("--no-report", *with_third)
    assert "tiny: 9 runs, 6 done already" in output
    after = workspace.records()
    assert len(after) == 9 and {run: after[run] for run in before} == before
    assert workspace.attempts() == dict.fromkeys(after, 1)
    rows = rows_of(workspace.tables()["tiny.csv"])
    [added] = [row for row in rows if row["model.encoder"] == THIRD]
    assert {run.split("/")[0] for run in after if run not in before} == {added["configuration"]}
    assert sorted(row["rank"] for row in rows) == ["1", "2", "3"]
    assert_truthful(workspace)

    resume(workspace)
    assert workspace.tables() == undisturbed.tables()
    assert workspace.records() == after
    assert_truthful(workspace)

    resume(workspace, *with_third)
    assert rows_of(workspace.tables()["tiny.csv"]) == rows
    assert workspace.records() == after and set(workspace.attempts().values()) == {1}


def test_a_fold_added_trains_only_that_fold(workspace: Any, undisturbed: Any) -> None:
    one = ("--set", f"search.grid={{model.encoder: [{ENCODERS.split(', ')[1]}]}}")
    assert "tiny: 2 runs, 0 done already" in workspace.run("--no-report", *one, "--set", "folds.use=2")
    before = workspace.records()
    assert sorted(run.split("/")[1] for run in before) == ["fold-0", "fold-1"]
    assert "tiny: 3 runs, 2 done already" in workspace.run("--no-report", *one, "--set", "folds.use=3")
    after = workspace.records()
    assert sorted(run.split("/")[1] for run in after) == ["fold-0", "fold-1", "fold-2"]
    assert {run: after[run] for run in before} == before
    assert workspace.attempts() == dict.fromkeys(after, 1)
    # The folds are those of the sweep that ran all three at once, and so are the results.
    ours = rows_of(without_wall_clock(workspace.tables())["tiny_folds.csv"])
    theirs = rows_of(without_wall_clock(undisturbed.tables())["tiny_folds.csv"])
    assert ours == [row for row in theirs if row["configuration"] == ours[0]["configuration"]]
