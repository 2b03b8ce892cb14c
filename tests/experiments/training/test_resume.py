"""A run that is interrupted anywhere and goes on ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.training import checkpoint
from experiments.training.execution import Execution
from experiments.training.run import TrainingRun
from experiments.training.spec import RunSpec

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
CPU = torch.device("cpu")

# Between them: every optimizer and schedule, and everything else that has a state or draws numbers.
RECIPES: dict[str, dict[str, Any]] = {
    "adamw, cosine": {"training.warmup_epochs": 2, "training.class_weights": "balanced"},
    "adam, plateau": {
        "training.optimizer": "adam",
        "training.scheduler": "plateau",
        "training.epochs": 5,
        "training.augmentation": ["rotate", "noise", "elastic"],
        "training.gradient_clip": 0.1,
    },
    "sgd, constant": {
        "training.optimizer": "sgd",
        "training.scheduler": "none",
        "training.freeze_encoder_epochs": 2,
        "training.lr": 0.05,
    },
    "sgd, plateau, warm-up": {
        "training.optimizer": "sgd",
        "training.scheduler": "plateau",
        "training.warmup_epochs": 1,
        "objective.metric": "false_positive_rate",
        "training.segmentation_loss": "focal",
    },
    "stochastic depth": {"model.encoder": "mit_b0", "training.epochs": 2},
    "our own encoder": {"model.encoder": "shufflenet_v2_x0_5", "training.epochs": 2, "training.optimizer": "adam"},
    "no diagnosis": {"model.classification_head": False, "training.epochs": 3, "training.channels_last": False},
    "fp16 with a gradient scaler": {"training.amp": "fp16", "training.epochs": 2},
    "stopped early": {"training.early_stopping": {"patience": 1}, "training.epochs": 20, "training.lr": 1e-7},
}

SLOW_RECIPES = {*RECIPES} - {"adamw, cosine", "no diagnosis"}


def state_of(folder: Path, name: str) -> dict[str, Any]:
    """A checkpoint's content, seconds left out."""
    state = checkpoint.load(folder / name, CPU)
    assert state is not None
    state.pop("spent", None)
    for epoch in state.get("history", ()):
        del epoch["seconds"]
    return state


def assert_same(ours: Any, theirs: Any, place: str = "") -> None:
    """Equal to the last bit, through dicts and lists; NaN equals NaN."""
    assert type(ours) is type(theirs), place
    if isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs), place
    elif isinstance(ours, dict):
        assert list(ours) == list(theirs), place
        for key in ours:
            assert_same(ours[key], theirs[key], f"{place}/{key}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), place
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{place}/{index}")
    else:
        assert ours == theirs or (ours != ours and theirs != theirs), place


def assert_same_results(bench: Any, ours: RunSpec, theirs: RunSpec) -> None:
    assert_same(state_of(ours.folder, "best.pt"), state_of(theirs.folder, "best.pt"))
    assert bench.record(ours) == bench.record(theirs)
    assert bench.record(ours)["status"] == "complete"
    assert (ours.folder / "cases.csv").read_bytes() == (theirs.folder / "cases.csv").read_bytes()
    assert bench.epochs(ours) == bench.epochs(theirs)


def trained(run: TrainingRun) -> dict[str, Any]:
    """What training has made of a run, and what it left on disk."""
    return {**state_of(run.spec.folder, "last.pt"), **{name: part.state_dict() for name, part in run.parts().items()}}


def snapshots(bench: Any, spec: RunSpec, folder: Path) -> tuple[list[Path], dict[str, Any]]:
    """Trains the run undisturbed; what its folder held after each epoch, and what it came to."""
    run, taken = bench.open(spec), []
    while not run.done:
        run.step()
        taken.append(Path(shutil.copytree(spec.folder, folder / f"after-{len(run.history)}")))
    return taken, trained(run)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW_RECIPES else name for name in RECIPES]
)
def test_a_run_goes_on_after_any_epoch_as_if_undisturbed(bench: Any, tmp_path: Path, name: str) -> None:
    undisturbed = bench.spec(tmp_path / "undisturbed", RECIPES[name])
    taken, last = snapshots(bench, undisturbed, tmp_path)
    assert (len(taken) < undisturbed.settings["training"]["epochs"]) == (name == "stopped early")
    bench.execute(undisturbed)

    for epoch, folder in enumerate(taken, start=1):
        resumed = replace(undisturbed, folder=folder)
        run = bench.open(resumed)
        assert len(run.history) == epoch
        if not run.done:  # after the last epoch nothing but the best checkpoint is taken up
            while not run.done:
                run.step()
            assert_same(trained(run), last)
        bench.execute(resumed)
        assert_same_results(bench, resumed, undisturbed)


def test_attempts_are_counted_and_epochs_trained_once(bench: Any, tmp_path: Path, finished: RunSpec) -> None:
    spec = replace(finished, folder=tmp_path / "interrupted")
    for _ in range(3):  # one epoch each, the last with nothing left to train
        execution = Execution(spec)
        execution.step()
        execution.close()
    with (spec.folder / "attempts.csv").open() as file:
        assert [row["first_epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert_same_results(bench, spec, finished)


@pytest.mark.parametrize("killed", ["before best.pt was there", "before last.pt was there"])
def test_killed_between_best_and_last(bench: Any, tmp_path: Path, killed: str) -> None:
    """What last.pt calls the best has been replaced by that of the next epoch; the run goes on with the old one."""
    changes = {"training.epochs": 6, "objective.metric": "pixel_accuracy", "training.segmentation_loss": "bce"}
    spec = bench.spec(tmp_path / "run", changes)
    undisturbed = bench.spec(tmp_path / "undisturbed", changes)
    bench.execute(undisturbed)
    run = bench.open(spec)
    run.step()
    while not run.done:
        for name in ("last.pt", "best.pt"):
            shutil.copy(spec.folder / name, tmp_path / name)
        before, epochs = run.best[1], len(run.history)
        run.step()
        if run.best[1] > before:
            break
    assert run.best[1] == len(run.history) > 1, "a later epoch must be the better one, or nothing is tested"
    shutil.copy(tmp_path / "last.pt", spec.folder / "last.pt")
    shutil.copy(tmp_path / "best.pt", spec.folder / "previous.pt")
    if killed == "before best.pt was there":
        (spec.folder / "best.pt").unlink()
    again = bench.open(spec)
    assert (len(again.history), again.best[1]) == (epochs, before)
    bench.execute(spec)
    assert_same_results(bench, spec, undisturbed)
    assert not (spec.folder / "previous.pt").exists()


@pytest.mark.parametrize("damage", ["truncated", "empty", "not torch's", "missing"])
@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_damaged_checkpoints_are_told_and_made_again(
    bench: Any, tmp_path: Path, finished: RunSpec, name: str, damage: str
) -> None:
    spec = replace(finished, folder=tmp_path / "run")
    bench.open(spec).step()
    path = spec.folder / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "not torch's": b"dice" * 99}[damage])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = bench.open(spec)
    assert run.history == []
    said = [str(warning.message) for warning in caught]
    assert any("starting" in text and name in text for text in said) == ((name, damage) != ("last.pt", "missing")), said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bench.execute(spec)
    assert_same_results(bench, spec, finished)


@pytest.mark.parametrize("other", [{"training.lr": 0.1}, {"training.seed": 1}])
def test_a_checkpoint_of_another_run_is_not_continued(bench: Any, tmp_path: Path, other: dict[str, Any]) -> None:
    bench.open(bench.spec(tmp_path, other)).step()
    with pytest.warns(UserWarning, match=r"last\.pt is of another run"):
        assert bench.open(bench.spec(tmp_path)).history == []


def test_checkpoints_hold_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"format": checkpoint.FORMAT, "network": Trap()}, tmp_path / "last.pt")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert checkpoint.load(tmp_path / "last.pt", CPU) is None
    assert not (tmp_path / "sprung").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.warns(UserWarning, match="not a checkpoint of format 1"):
        assert checkpoint.load(tmp_path / "list.pt", CPU) is None


def test_killed_after_the_last_epoch_before_its_row(bench: Any, tmp_path: Path, finished: RunSpec) -> None:
    """last.pt is written before epochs.csv: between them the table lacks the last epoch."""
    spec = replace(finished, folder=tmp_path / "run")
    execution = Execution(spec)
    execution.step()
    execution.close()
    bench.open(spec).step()  # writes last.pt, but not the table, which is the execution's
    assert len(bench.epochs(spec)) == 1
    bench.execute(spec)
    assert_same_results(bench, spec, finished)


CHILD = """
import json, sys
from experiments.training.execution import Execution
from experiments.training.spec import RunSpec
execution = Execution(RunSpec.from_json(json.load(open(sys.argv[1]))))
while not (progress := execution.step()).ended:
    print(progress.epoch, flush=True)
"""


@pytest.mark.slow
def test_kill_9_in_the_middle_of_an_epoch(bench: Any, tmp_path: Path) -> None:
    changes = {"training.epochs": 30}
    undisturbed = bench.spec(tmp_path / "undisturbed", changes)
    bench.execute(undisturbed)
    spec = bench.spec(tmp_path / "killed", changes)
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec.to_json()))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", CHILD, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"
        time.sleep(0.25)
        child.send_signal(signal.SIGKILL)
    assert not (spec.folder / "record.json").exists(), "the run was faster than its killer"
    bench.execute(spec)
    with (spec.folder / "attempts.csv").open() as table:
        first, second = [int(row["first_epoch"]) for row in csv.DictReader(table)]
    assert first == 1 < second
    assert_same_results(bench, spec, undisturbed)
