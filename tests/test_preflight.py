"""What a whole command does about what can never run, data that changed and files that are damaged; whom it tells."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest

import run_sweep
from utils.datasets.phantom import Phantom

# One that can never run (a pooling layer cannot be dilated), one that can, and one that can and fails.
MIXED = """\
name: mixed
question: Which one?
dataset: {{name: phantom, image_size: 32, options: {{cases: 30, height: 64, width: 64}}}}
folds: {{k: 1, test: 0.3}}
model: {{encoder: tu-mobilenetv3_small_050, encoder_weights: none, decoder: deeplabv3plus}}
training: {{epochs: 1, batch_size: 8}}
resources: {{cpus: 1, gpus: 0}}
notify: {{command: "{command}", webhook: "{webhook}"}}
search:
  cases:
    - {{name: impossible, model.encoder: vgg11}}
    - {{name: sound}}
    - {{name: diverging, training.segmentation_loss: {{dice: 1.0e+39, bce: 1.0e+39}}}}
"""
OWN = """\
name: own
dataset: {{name: busi, root: "{root}", image_size: 32}}
folds: {{k: 1, test: 0.3}}
model: {{encoder: tu-mobilenetv3_small_050, encoder_weights: none}}
training: {{epochs: 1, batch_size: 8}}
resources: {{cpus: 1, gpus: 0}}
"""
# Nobody answers there: what is to be refused is refused without starting Ray.
NOWHERE = ("--address", "127.0.0.1:1")
LISTENER = (
    "import json, os, sys; open(sys.argv[1], 'a').write(sys.stdin.read() + os.environ['SWEEP_OUTCOME'] + '\\n\\n')"
)

Capture = pytest.CaptureFixture[str]


class Listener(HTTPServer):
    """A webhook on this machine that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.told: list[dict[str, Any]] = []


class Answer(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Requests are no news in a test."""


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks, which are left where they were."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def refused(workspace: Any, capsys: Capture, *arguments: str) -> str:
    """What the command says when it ends with 2 and has changed nothing in its results."""
    before = contents(workspace.results)
    assert run_sweep.main([str(workspace.file), "--results", str(workspace.results), *arguments]) == 2
    assert contents(workspace.results) == before
    return capsys.readouterr().err


def case_of(workspace: Any, name: str, case: str) -> str:
    """The id of a named case."""
    return next(row["configuration"] for row in rows_of(workspace.results / f"{name}.csv") if row["case"] == case)


@pytest.mark.slow
def test_what_can_never_run_or_fails_is_on_record_and_the_rest_completes(
    workspace: Any, listener: Listener, capsys: Capture
) -> None:
    told = workspace.folder / "told.txt"
    (workspace.folder / "listen.py").write_text(LISTENER, encoding="utf-8")
    command = f"{sys.executable} listen.py {told}"
    webhook = f"http://127.0.0.1:{listener.server_port}/secret"
    workspace.file.write_text(MIXED.format(command=command, webhook=webhook), encoding="utf-8")

    output = workspace.run("--skip-impossible", code=1)
    [reason] = re.findall(r"^impossible can never run and is recorded as failed: (.+)$", output, re.MULTILINE)
    assert "output stride" in reason
    assert "1 of 3 runs complete, 2 failed; --retry-failed repeats them" in output
    sound, impossible, diverging = (case_of(workspace, "mixed", n) for n in ("sound", "impossible", "diverging"))
    rows = {row["case"]: row for row in rows_of(workspace.results / "mixed.csv")}
    assert {name: (row["rank"], row["status"]) for name, row in rows.items()} == {
        "sound": ("1", "complete"),
        "impossible": ("", "failed"),
        "diverging": ("", "failed"),
    }
    errors = {row["configuration"]: row["error"] for row in rows_of(workspace.results / "mixed_folds.csv")}
    assert (
        errors[sound] == "" and errors[impossible] == f"cannot run: {reason}" and "DivergedError" in errors[diverging]
    )
    assert "Traceback" in workspace.runs("error.txt")[f"{diverging}/fold-0"].read_text()
    assert set(workspace.attempts()) == {f"{sound}/fold-0", f"{diverging}/fold-0"}, "no worker tried the impossible"
    [message] = listener.told
    assert (message["outcome"], message["runs"], message["done"], message["failed"]) == ("failed", 3, 3, 2)
    assert message["answer"].startswith("sound is the only configuration with a rank")
    assert told.read_text() == f"{message['text']}failed\n\n"
    assert "secret" not in output

    # Without --retry-failed a failure stands: nothing is run, nobody is told, nothing changes.
    before, tables = workspace.records(), workspace.tables()
    assert run_sweep.main([str(workspace.file), "--results", str(workspace.results)]) == 1
    assert "mixed: 3 runs, 3 done already" in capsys.readouterr().out
    assert (workspace.records(), workspace.tables(), len(listener.told)) == (before, tables, 1)

    # What is to be repeated is looked at before its record is touched.
    said = refused(workspace, capsys, "--retry-failed", *NOWHERE)
    assert "configuration impossible: can never run: " in said and "--skip-impossible" in said
    assert workspace.records() == before

    again = workspace.run("--no-report", "--retry-failed", "--skip-impossible", code=1)
    assert "mixed: 3 runs, 2 done already" in again
    after = workspace.records()
    assert {run for run in after if after[run] != before[run]} == {f"{impossible}/fold-0", f"{diverging}/fold-0"}
    assert workspace.attempts()[f"{sound}/fold-0"] == 1
    for run in (impossible, diverging):
        [aside] = workspace.results.glob(f"runs/mixed/{run}/fold-0/failed-*/record.json")
        assert aside.read_bytes() == before[f"{run}/fold-0"][2]
    assert [message["outcome"] for message in listener.told] == ["failed", "failed"]


@pytest.mark.slow
def test_data_that_changed_are_refused_until_told_and_the_old_results_stay(workspace: Any, capsys: Capture) -> None:
    root = Phantom(cases=30, height=64, width=64).write_busi_layout(workspace.folder / "data")
    workspace.file.write_text(OWN.format(root=root), encoding="utf-8")
    workspace.run("--no-report")
    finished = workspace.records()

    image = root / "benign" / "benign (1).png"
    cv2.imwrite(str(image), cv2.imread(str(image))[:, ::-1])
    shutil.copy(root / "normal" / "normal (1).png", root / "normal" / "normal (99).png")
    shutil.copy(root / "normal" / "normal (1)_mask.png", root / "normal" / "normal (99)_mask.png")
    said = refused(workspace, capsys)
    assert "1 case was added (normal/normal (99)), 1 was changed (benign/benign (1))" in said
    assert "Put the old data back, or go on with --new-data" in said

    output = workspace.run("--no-report", "--new-data")
    assert "own: 1 runs, 0 done already" in output
    after = workspace.records()
    assert len(after) == 2 and {run: after[run] for run in finished} == finished
    [row] = rows_of(workspace.results / "own.csv")
    [new] = [run for run in after if run not in finished]
    assert (row["status"], f"{row['configuration']}/fold-0") == ("complete", new), "old and new are never in one table"

    assert run_sweep.main([str(workspace.file), "--results", str(workspace.results)]) == 0
    assert "own: 1 runs, 1 done already" in capsys.readouterr().out
    assert workspace.records() == after


@pytest.mark.slow
def test_a_damaged_cache_record_and_study_are_set_aside_and_made_again(workspace: Any) -> None:
    root = Phantom(cases=30, height=64, width=64).write_busi_layout(workspace.folder / "data")
    workspace.file.write_text(OWN.format(root=root), encoding="utf-8")
    workspace.run("--no-report")
    [record] = workspace.runs("record.json").values()
    [images] = workspace.results.glob("cache/*/images.npy")
    study = workspace.results / "optuna.db"
    for path in (record, images, study):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content[: len(content) - (path == study) * 4096 * 4])
    damaged = record.read_bytes()

    output = " ".join(workspace.run("--no-report").split())
    assert "own: 1 runs, 0 done already" in output and "1 of 1 runs complete" in output
    for warning in ("set aside, the run will be repeated", "it is built again", "the study is rebuilt"):
        assert warning in output, warning
    [aside] = record.parent.glob("damaged-*/record.json")
    assert aside.read_bytes() == damaged
    assert len(list(workspace.results.glob("cache/*.damaged"))) == 1
    assert len(list(workspace.results.glob("optuna.db.damaged-*"))) == 1
    assert len(workspace.records()) == 1
