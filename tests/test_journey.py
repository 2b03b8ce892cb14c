"""A journey as its user meets it: two stages in one process, the second fed by the first, killed and taken further."""

from __future__ import annotations

import csv
import re
import signal
from pathlib import Path
from typing import Any

import pytest

import run_sweep
from experiments.ledger.record import read
from experiments.sweep import load_sweep
from utils.errors import UserError

pytestmark = pytest.mark.slow

FIRST = """\
name: first
dataset: {name: phantom}
search: {grid: {model.encoder: [mit_b0, shufflenet_v2_x0_5]}}
"""
SECOND = """\
name: second
dataset: {name: phantom}
model: {encoder: "${winner:first.model.encoder:-resnet18}"}
search: {grid: {training.lr: [1.0e-3, 1.0e-4]}}
"""
JOURNEY = """\
name: way
question: Which encoder, and how fast?
stages: [first.yaml, second.yaml]
"""
DATA = {"cases": 48, "height": 64, "width": 64}
SMALL = (
    *("--demo", "--set", "dataset.image_size=32", "--set", "training.epochs=1", "--set", "folds.use=2"),
    *(word for key, value in DATA.items() for word in ("--set", f"dataset.options.{key}={value}")),
)


@pytest.fixture
def way(workspace: Any) -> Any:
    """A workspace whose command is the journey."""
    for name, text in (("first", FIRST), ("second", SECOND), ("way", JOURNEY)):
        (workspace.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    workspace.file = workspace.folder / "way.yaml"
    return workspace


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def encoders_in(way: Any, sweep: str) -> set[str]:
    """The encoders that the records of a sweep were trained with."""
    folders = [path.parent for path in way.results.glob(f"runs/{sweep}/*/fold-*/record.json")]
    records = [record for folder in folders if (record := read(folder)) is not None]
    return {record.settings["model"]["encoder"] for record in records}


def winner_of(table: Path) -> dict[str, str]:
    """The rule in one line: of the rows tied with the best the one with the fewest parameters."""
    tied = [row for row in rows_of(table) if row["tied_with_best"] == "true"]
    return min(tied, key=lambda row: (float(row["params_millions"]), int(row["rank"])))


def test_a_journey_killed_in_its_second_stage_goes_on_from_there(way: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command = way.start(*SMALL, "--set", "resources.slots=1")
    second = way.results / "runs" / "second_demo"
    # One of the second stage's runs is done, the others are not.
    command.until(lambda: list(second.glob("*/fold-*/record.json")), "a record of the second stage")
    command.process.kill()
    assert command.wait() == -signal.SIGKILL
    before = way.records()
    assert 5 <= len(before) < 8, "killed too late to tell anything"

    winner = winner_of(way.results / "first_demo.csv")["model.encoder"]
    assert encoders_in(way, "second_demo") == {winner}
    told = [line for line in command.output.splitlines() if line.startswith("model.encoder = ")]
    assert len(told) == 1 and told[0].startswith(f"model.encoder = {winner}, the winner of first_demo (")

    output = way.run(*SMALL)
    assert "first_demo: 4 runs, 4 done already" in output
    assert f"second_demo: 4 runs, {len(before) - 4} done already" in output
    assert output.count("4 of 4 runs complete") == 2
    after = way.records()
    assert len(after) == 8 and {run: after[run] for run in before} == before
    assert encoders_in(way, "second_demo") == {winner}
    assert {row["status"] for row in rows_of(way.results / "second_demo.csv")} == {"complete"}

    # The table at the end names the winners that the leaderboards name.
    table = output[output.index("way: Which encoder, and how fast?") :]
    assert winner in table and winner_of(way.results / "second_demo.csv")["training.lr"] in table

    # All done: the same command answers at once, and changes nothing.
    tables, outcomes = way.tables(), {path: path.read_bytes() for path in way.results.glob("runs/*/outcome.json")}
    assert len(outcomes) == 2 and all(b'"complete": true' in content for content in outcomes.values())
    assert run_sweep.main([str(way.file), "--results", str(way.results), *SMALL]) == 0
    assert capsys.readouterr().out.count("4 runs, 4 done already") == 2
    assert (way.records(), way.tables()) == (after, tables)
    assert {path: path.read_bytes() for path in outcomes} == outcomes


def test_sigterm_in_the_second_stage_stops_the_journey(way: Any) -> None:
    command = way.start(*SMALL, "--set", "resources.slots=1")
    outcome = way.results / "runs" / "second_demo" / "outcome.json"
    command.until(lambda: outcome.exists() and command.workers(), "a worker of the second stage")
    command.stop(signal.SIGTERM)
    assert command.process.returncode == 128 + signal.SIGTERM, command.output
    assert "Traceback" not in command.output
    last = command.screen.strip().splitlines()[-2:]
    assert last[0].startswith("Stopped. Nothing that finished is lost; go on with:")
    assert last[1].strip().startswith(f"python run_sweep.py {way.file}")
    assert command.survivors(15) == []
    # What is not complete is not built upon, not even with a fallback at hand.
    assert b'"complete": false' in outcome.read_bytes()
    third = way.folder / "third.yaml"
    third.write_text("name: third\ntraining: {lr: '${winner:second.training.lr:-0.1}'}\n", encoding="utf-8")
    finish = f"python run_sweep.py {way.folder}/second.yaml --demo --results {way.results}"
    with pytest.raises(UserError, match=re.escape(f"second_demo is not complete; finish it first: {finish}")):
        load_sweep(third, demo=True, results=way.results)
