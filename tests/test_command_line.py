"""The command as its user meets it: mistakes, bad data, failures, signals, and what it says about each."""

from __future__ import annotations

import csv
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import run_sweep
from utils.datasets.phantom import Phantom

EIGHT = """\
name: eight
dataset: {name: busy, image_sise: 256}
model: {decoder: {unet: {atention: scse}}}
training:
  scheduler: cosin
  lr: fast
objective: {metric: dise}
search:
  grid:
    model.encoder: [resnet18, resnet19]
    training.optimiser: [adam, sgd]
"""
MISTAKES = [
    ("dataset.name", 2, "did you mean 'busi'?"),
    ("dataset.image_sise", 2, "did you mean 'image_size'?"),
    ("model.decoder.unet.atention", 3, "did you mean 'attention'?"),
    ("training.scheduler", 5, "did you mean 'cosine'?"),
    ("training.lr", 6, "must be a number"),
    ("objective.metric", 7, "did you mean 'dice'?"),
    ("search.grid.model.encoder[1]", 10, "did you mean 'resnet18'?"),
    ("search.grid.training.optimiser", 11, "did you mean 'training.optimizer'?"),
]
"""Key, line and what is said."""

# One fold and one epoch: a sweep that is over as soon as it has begun.
BRIEF = """\
name: brief
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
folds: {k: 1, test: 0.3}
model: {encoder_weights: none, encoder: tu-mobilenetv3_small_050}
training: {epochs: 1, batch_size: 8}
resources: {cpus: 1, gpus: 0}
"""

# Two runs long enough to be stopped in the middle.
LONG = BRIEF.replace("k: 1, test: 0.3", "k: 2").replace("epochs: 1,", "epochs: 40,")

Capture = pytest.CaptureFixture[str]


def problems_in(text: str) -> list[str]:
    """The problems that a command has printed, one a line."""
    head, *lines = text.strip().splitlines()
    assert head == ("1 problem:" if len(lines) == 1 else f"{len(lines)} problems:"), text
    return [line.strip() for line in lines]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_eight_mistakes_get_eight_messages_and_nothing_is_written(tmp_path: Path, capsys: Capture) -> None:
    file, results = tmp_path / "eight.yaml", tmp_path / "results"
    file.write_text(EIGHT, encoding="utf-8")
    assert run_sweep.main([str(file), "--results", str(results)]) == 2
    printed = capsys.readouterr()
    messages = problems_in(printed.err)
    assert len(messages) == len(MISTAKES)
    for message, (key, line, said) in zip(messages, MISTAKES, strict=True):
        assert message.startswith(f"{key} ({file}:{line}): ") and said in message
    assert printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["eight.yaml"]


def test_a_mistake_ends_the_process_with_2_and_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("name: s\ntraining: {epoch: 3}\n", encoding="utf-8")
    command = [sys.executable, str(Path(run_sweep.__file__)), str(file), "--results", str(tmp_path / "results")]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    [message] = problems_in(ended.stderr)
    assert message.startswith(f"training.epoch ({file}:2): ") and "did you mean 'epochs'?" in message
    assert not (tmp_path / "results").exists()


def test_a_sweep_file_that_is_not_there_is_named(tmp_path: Path, capsys: Capture) -> None:
    assert run_sweep.main([str(tmp_path / "nowhere.yaml")]) == 2
    [message] = problems_in(capsys.readouterr().err)
    assert str(tmp_path / "nowhere.yaml") in message


def test_a_missing_dataset_gets_one_message_with_all_ways_out(tmp_path: Path, capsys: Capture) -> None:
    file, root = tmp_path / "sweep.yaml", tmp_path / "no data here"
    file.write_text(f"name: s\ndataset: {{name: busi, root: '{root}'}}\n", encoding="utf-8")
    # Every configuration misses the same folder, which is one problem.
    grid = ["--set", "search.grid={training.seed: [1, 2, 3]}"]
    assert run_sweep.main([str(file), "--results", str(tmp_path / "results"), *grid]) == 2
    [message] = problems_in(capsys.readouterr().err)
    for words in ("dataset.root", str(root), "benign/", "<name>_mask.png", "--download", "--demo"):
        assert words in message


@pytest.fixture
def damaged_data(tmp_path: Path) -> Path:
    """Data in BUSI's layout with four kinds of damage, one case each."""
    root = Phantom(cases=36, height=64, width=64).write_busi_layout(tmp_path / "data")
    image = root / "benign" / "benign (1).png"
    image.write_bytes(image.read_bytes()[:100])
    (root / "benign" / "benign (2)_mask.png").write_bytes(b"no picture")
    (root / "malignant" / "malignant (1)_mask.png").unlink()
    mask = root / "normal" / "normal (1)_mask.png"
    mask.write_bytes((root / "malignant" / "malignant (3)_mask.png").read_bytes())
    return root


DAMAGE = {
    "benign/benign (1)": "unreadable_image",
    "benign/benign (2)": "unreadable_mask",
    "malignant/malignant (1)": "missing_mask",
    "normal/normal (1)": "mask_size_mismatch",
}


def test_damaged_data_stops_the_sweep_with_all_that_is_wrong(
    workspace: Any, damaged_data: Path, capsys: Capture
) -> None:
    workspace.file.write_text(f"name: bad\ndataset: {{name: busi, root: '{damaged_data}'}}\n", encoding="utf-8")
    assert run_sweep.main([str(workspace.file), "--results", str(workspace.results)]) == 2
    messages = problems_in(capsys.readouterr().err)
    assert len(messages) == len(DAMAGE)
    for case, kind in DAMAGE.items():
        assert [m for m in messages if m.startswith(case) and f"({kind})" in m and str(damaged_data) in m], case
    errors = [row for row in rows_of(workspace.results / "bad_audit.csv") if row["severity"] == "error"]
    assert {row["cases"]: row["kind"] for row in errors} == DAMAGE
    assert not (workspace.results / "bad.csv").exists() and not (workspace.results / "cache").exists()


@pytest.mark.slow
def test_damaged_cases_can_be_skipped_which_is_on_record(workspace: Any, damaged_data: Path) -> None:
    data = f"dataset: {{name: busi, root: '{damaged_data}', image_size: 32, on_error: skip}}"
    workspace.file.write_text(re.sub("dataset: .*", data, BRIEF), encoding="utf-8")
    output = workspace.run("--no-report")
    assert "36 images, 32 of them usable" in output
    [row] = rows_of(workspace.results / "brief.csv")
    assert (row["rank"], row["status"]) == ("1", "complete")
    skipped = {row["cases"] for row in rows_of(workspace.results / "brief_audit.csv") if row["severity"] == "error"}
    assert skipped == set(DAMAGE)
    tested = {row["case"] for row in rows_of(workspace.results / "brief_cases.csv")}
    assert tested and tested.isdisjoint(skipped)


def test_the_plan_counts_runs_and_costs_and_writes_nothing(
    workspace: Any, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    workspace.file.write_text(f"{BRIEF}search: {{grid: {{model.encoder: [vgg11_bn, tu-mobilenetv3_small_050]}}}}\n")
    before = sorted(workspace.folder.rglob("*"))
    arguments = [str(workspace.file), "--results", str(workspace.results), "--set", "model.decoder=deeplabv3plus"]
    assert run_sweep.main([*arguments, "--plan"]) == 0
    printed = capsys.readouterr().out
    assert "2 configurations x folds = 2 runs, 0 done, 2 to run: about " in printed
    assert re.search(r"vgg11_bn +can never run", printed)
    assert re.search(r"tu-mobilenetv3_small_050 +\d+\.\d+ +\d+\.\d+ +0\.\d+ +0/1 +\d+ s", printed)
    assert sorted(workspace.folder.rglob("*")) == before


def assert_stopped(workspace: Any, command: Any, number: signal.Signals, seconds: float) -> None:
    """The command has ended on a signal as it should: soon, alone, and saying how to go on."""
    print(f"{number.name}: ended after {seconds:.1f} s")
    assert command.process.returncode == 128 + number, command.output
    assert seconds < 10
    assert "Traceback" not in command.output
    last = command.screen.strip().splitlines()[-2:]
    assert last[0].startswith("Stopped. Nothing that finished is lost; go on with:")
    assert last[1].strip().startswith(f"python run_sweep.py {workspace.file} --results {workspace.results}")
    assert command.survivors(15) == []
    [lock] = workspace.results.glob("runs/*/driver.lock")
    with FileLock(lock, timeout=0):
        assert not lock.with_name("driver.json").exists()


def training(workspace: Any, command: Any) -> bool:
    """Whether a worker of the command has finished an epoch."""
    return bool(command.workers()) and bool(workspace.runs("last.pt"))


@pytest.mark.slow
def test_sigterm_while_ray_starts_is_no_exception(workspace: Any) -> None:
    # Ray puts a handler of its own in place of ours as soon as it starts.
    command = workspace.start()
    command.until(lambda: any("gcs_server" in title for title in command.titles()), "Ray's first process")
    seconds = command.stop(signal.SIGTERM)
    assert_stopped(workspace, command, signal.SIGTERM, seconds)


@pytest.mark.slow
def test_a_second_driver_is_refused_and_sigterm_stops_the_first(workspace: Any, capsys: Capture) -> None:
    began = time.strftime("%Y-%m-%d %H:")
    command = workspace.start("--set", "training.epochs=10000")
    command.until(lambda: training(workspace, command), "a finished epoch")
    before = workspace.tables()

    assert run_sweep.main([str(workspace.file), "--results", str(workspace.results)]) == 2
    [message] = problems_in(capsys.readouterr().err)
    assert f"process {command.process.pid} on {socket.gethostname()}, started " in message
    assert re.search(r"started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d;", message)
    assert began <= message.split("started ")[1]
    assert workspace.tables() == before
    assert command.process.poll() is None

    seconds = command.stop(signal.SIGTERM)
    assert_stopped(workspace, command, signal.SIGTERM, seconds)


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_stops_within_ten_seconds_and_the_same_command_goes_on(workspace: Any) -> None:
    workspace.file.write_text(LONG, encoding="utf-8")
    command = workspace.start(terminal=True)
    # The live table: what runs, its fold, epoch and validation score.
    row = r"base +[01] +[1-9]\d*/40 +0\.\d+"
    command.until(lambda: re.search(row, command.screen), "a finished epoch in the live table")
    assert re.search(r"running +fold +epoch +validation dice", command.screen)
    assert "0/2 runs  elapsed" in command.screen and "ETA after the first run" in command.screen
    command.family()
    started = time.monotonic()
    command.type("\x03")
    command.wait(60)
    assert_stopped(workspace, command, signal.SIGINT, time.monotonic() - started)
    assert workspace.records() == {}
    begun = workspace.attempts()

    output = workspace.run()
    assert "brief: 2 runs, 0 done already" in output
    ended = re.findall(r"^\[(\d)/2\] \S+, fold (\d): dice \d\.\d{4}(.*)$", output, re.MULTILINE)
    assert [number for number, _, _ in ended] == ["1", "2"]
    assert sorted(fold for _, fold, _ in ended) == ["0", "1"]
    assert re.fullmatch(r", about \d+ (s|min) left", ended[0][2]) and ended[1][2] == ""
    assert "2 of 2 runs complete" in output
    assert "\x1b" not in output, "control sequences in what may be a log file"
    assert len(workspace.records()) == 2
    resumed = [
        line.split(",")[-1]
        for run in begun
        for line in workspace.runs("attempts.csv")[run].read_text().splitlines()[2:]
    ]
    assert any(int(first_epoch) > 1 for first_epoch in resumed), "no run went on from where it stood"


def test_help_is_answered_without_importing_torch_or_ray() -> None:
    check = (
        "import sys, run_sweep\n"
        "try: run_sweep.main(['--help'])\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "assert not {'torch', 'ray', 'optuna'} & set(sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", check],
        cwd=Path(run_sweep.__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    for option in ("--set", "--demo", "--plan", "--results", "--address", "--retry-failed", "--download"):
        assert option in ended.stdout
