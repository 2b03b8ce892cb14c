"""The hyper-parameter sweep as it is shipped, shrunk: killed, continued, extended, repaired; every draw is run once."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

import run_sweep
from experiments.ledger.record import commit, read

pytestmark = pytest.mark.slow

SWEEP = Path(run_sweep.__file__).parent / "sweeps" / "hyperparameters.yaml"
NAME = "hyperparameters_demo"
SMALL = [
    *("model.encoder=shufflenet_v2_x0_5", "dataset.image_size=32", "training.epochs=1", "folds.use=2"),
    *("dataset.options.cases=48", "search.samples=4", "resources.gpus=0"),
]
DEMO = ["--demo", *(part for each in SMALL for part in ("--set", each))]


@pytest.fixture
def searching(workspace: Any) -> Any:
    """A folder for the results of the shipped sweep: four draws on two folds."""
    workspace.file = SWEEP
    return workspace


@pytest.fixture(scope="module")
def ended(workspace_in: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The sweep after a kill half way and the same command again. Tests that change anything take a copy."""
    workspace = workspace_in(tmp_path_factory.mktemp("ended"))
    workspace.file = SWEEP
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
    chance = random.Random(seed)
    print(f"KILL_SEED={seed} repeats the moments")
    done = chance.randrange(1, 6)
    driver = workspace.start(*DEMO)
    driver.until(lambda: driver.workers() and len(workspace.records()) >= done, f"worker and {done} records")
    time.sleep(chance.uniform(0, 0.5))
    driver.process.kill()
    workspace.finished, workspace.begun, workspace.asked = (
        workspace.records(),
        workspace.attempts(),
        proposals(workspace),
    )
    assert driver.wait() == -signal.SIGKILL
    print(f"killed with {len(workspace.finished)} of 8 runs done and {len(workspace.asked)} of 4 configurations drawn")
    workspace.output = workspace.run(*DEMO)
    return workspace


def proposals(workspace: Any) -> list[dict[str, Any]]:
    """What has been asked for."""
    path = workspace.results / "runs" / NAME / "proposals.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def trials_of(workspace: Any) -> dict[str, FrozenTrial]:
    """Configuration -> its trial. Fails if one has several."""
    trials = optuna.load_study(study_name=NAME, storage=f"sqlite:///{workspace.results / 'optuna.db'}").trials
    found = {trial.user_attrs["configuration"]: trial for trial in trials}
    assert len(found) == len(trials)
    return found


def shown(trials: Mapping[str, FrozenTrial]) -> dict[str, Any]:
    return {id: (t.number, t.state, t.values, t.params, t.intermediate_values) for id, t in trials.items()}


def assert_truthful(workspace: Any, samples: int) -> None:
    """As many draws, rows and complete trials as samples, and in each of them the same."""
    rows = list(csv.DictReader(io.StringIO(workspace.tables()[f"{NAME}.csv"])))
    trials, asked = trials_of(workspace), proposals(workspace)
    assert len(rows) == len(trials) == len(asked) == samples
    assert {trial.state for trial in trials.values()} == {TrialState.COMPLETE}
    ordered = sorted(trials.values(), key=lambda trial: trial.number)
    assert [trial.params for trial in ordered] == [each["drawn"] for each in asked]
    for row in rows:
        trial = trials[row["configuration"]]
        assert trial.value == pytest.approx(float(row["dice_mean"]), abs=1e-5)
        assert list(trial.intermediate_values) == [0, 1]
        assert float(row["training.lr"]) == trial.params["training.lr"]
        assert 1e-5 <= trial.params["training.lr"] <= 1e-3


def test_killed_half_way_and_given_again_the_study_has_what_was_asked_for(ended: Any) -> None:
    # A worker that outlives its driver may yet end its run: done is what the second driver has not begun again.
    done = {run for run, count in ended.attempts().items() if count == ended.begun.get(run, 0)}
    assert set(ended.finished) <= done
    assert f"{NAME}: 8 runs, {len(done)} done already" in ended.output
    assert "8 of 8 runs complete" in ended.output
    assert_truthful(ended, 4)
    # Nothing that was finished was run again, and nothing that was drawn was drawn again.
    records, attempts = ended.records(), ended.attempts()
    assert {run: records[run] for run in ended.finished} == ended.finished
    assert {run: attempts[run] for run in ended.finished} == {run: ended.begun[run] for run in ended.finished}
    assert len(records) == 8 and sum(attempts.values()) <= 8 + 2
    assert proposals(ended)[: len(ended.asked)] == ended.asked
    # The plots of the dashboard are of the space, not of what happened to be drawn.
    trial = next(iter(trials_of(ended).values()))
    assert trial.distributions["training.lr"] == FloatDistribution(1e-5, 1e-3, log=True)
    assert isinstance(trial.distributions["training.segmentation_loss"], CategoricalDistribution)
    assert "training.batch_size" not in trial.params  # the demo decides it


def test_configurations_are_completed_before_the_next_is_drawn(ended: Any) -> None:
    """With the slots of this machine at most so many are under way at once: TPE learns as early as it can."""
    assert len(ended.asked) <= len({run.split("/")[0] for run in ended.finished}) + (os.cpu_count() or 1)


def test_it_extends_is_planned_and_comes_back_from_nothing_but_the_ledger(
    ended: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = ended.copy(tmp_path)
    copy.file = SWEEP

    def again(*arguments: str) -> int:
        return run_sweep.main([str(SWEEP), "--results", str(copy.results), "--no-report", *DEMO, *arguments])

    assert again() == 0  # the paths of the checkpoints are others now
    before, trials = copy.records(), trials_of(copy)
    assert again("--set", "search.samples=6", "--plan") == 0
    planned = " ".join(capsys.readouterr().out.split())  # the table and its sum, however they are broken into lines
    assert "4/6 8/12" in planned and "1 configurations x 6 samples x folds = 12 runs, 8 done, 4 to run" in planned

    output = copy.run("--no-report", *DEMO, "--set", "search.samples=5")
    assert f"{NAME}: 10 runs, 8 done already" in output
    assert_truthful(copy, 5)
    after = trials_of(copy)
    assert {run: copy.records()[run] for run in before} == before
    # The study has grown: it was not made anew.
    assert {id: after[id]._trial_id for id in trials} == {id: trial._trial_id for id, trial in trials.items()}

    tables, known, records = copy.tables(), shown(after), copy.records()
    for path in [*copy.results.glob("*.csv"), *copy.results.glob("optuna.db*")]:
        path.unlink()
    assert again("--set", "search.samples=5") == 0
    assert (copy.tables(), shown(trials_of(copy)), copy.records()) == (tables, known, records)


def test_a_run_that_failed_is_repeated_when_asked(ended: Any, tmp_path: Path) -> None:
    copy = ended.copy(tmp_path)
    run, path = next(iter(copy.runs("record.json").items()))
    record = read(path.parent)
    assert record is not None
    commit(record.model_copy(update={"status": "failed", "error": "a disk", "metrics": {}, "files": {}}), path.parent)
    copy.file = SWEEP
    others = {other: state for other, state in copy.records().items() if other != run}
    asked = proposals(copy)
    assert "1 failed; --retry-failed repeats them" in copy.run("--no-report", *DEMO, code=1)
    assert sorted(trial.state.name for trial in trials_of(copy).values()) == ["COMPLETE"] * 3 + ["FAIL"]
    copy.run("--no-report", *DEMO, "--retry-failed")
    assert {other: copy.records()[other] for other in others} == others
    assert proposals(copy) == asked
    assert_truthful(copy, 4)


def test_a_space_that_holds_too_little_ends_with_a_message(searching: Any) -> None:
    """Half of what could be drawn is a contradiction: what can be run is run, and then the user is told."""
    space = "{training.warmup_epochs: {int: [0, 2]}, training.amp: {choice: [none, auto]}}"
    overrides = ["search.samples=3", "training.epochs=1", f"search.space={space}"]
    output = searching.run(*DEMO, *(part for each in overrides for part in ("--set", each)), code=2)
    assert "search.space: no 3 different configurations were found" in output and "reach its peak" in output
    assert len(searching.records()) == 4
    assert {trial.state for trial in trials_of(searching).values()} == {TrialState.COMPLETE}
    shutil.rmtree(searching.results)
