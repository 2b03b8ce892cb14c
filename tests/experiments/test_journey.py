from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import run_sweep
from experiments.journey import load_journey, run_journey
from experiments.sweep import Sweep, nested
from utils.errors import Problem, UserError

Capture = pytest.CaptureFixture[str]

SHARED = "dataset: {name: phantom}\nmodel: {encoder_weights: none}\n"
FIRST = SHARED + "search: {grid: {model.encoder: [resnet18, vgg11]}}\n"
SECOND = SHARED + "search: {grid: {model.encoder: [resnet34, '${winner:first.model.encoder}']}}\n"
THIRD = SHARED + "training: {lr: '${winner:second.training.lr:-0.1}'}\n"


@pytest.fixture
def write(results: Any) -> Callable[..., Path]:
    """Writes sweep files, each with its name, and the journey ``way`` through them; returns its path."""

    def write(stages: Sequence[str] = ("first", "second", "third"), extra: str = "", **files: str) -> Path:
        texts = {"first": FIRST, "second": SECOND, "third": THIRD, **files}
        for name, text in texts.items():
            named = text if text.startswith(("name:", "stages:")) else f"name: {name}\n{text}"
            Path(f"{name}.yaml").write_text(named, encoding="utf-8")
        listed = ", ".join(f"{name}.yaml" for name in stages)
        Path("way.yaml").write_text(f"name: way\nquestion: Where to?\nstages: [{listed}]\n{extra}", encoding="utf-8")
        return Path("way.yaml")

    return write


def problems_of(path: Path, *overrides: str) -> list[Problem]:
    """What is wrong with a journey; nothing has been written when it is told."""
    before = sorted(Path().rglob("*"))
    with pytest.raises(UserError) as raised:
        load_journey(path, overrides, False, Path("results"))
    assert sorted(Path().rglob("*")) == before
    return list(raised.value.problems)


def test_a_journey_is_checked_as_a_whole_before_anything_is_known(write: Any) -> None:
    journey = load_journey(write(), ["training.epochs=5"], demo=True)
    assert (journey.name, journey.question) == ("way", "Where to?")
    assert [stage.name for stage in journey.stages] == ["first_demo", "second_demo", "third_demo"]
    assert [stage.path.name for stage in journey.stages] == ["first.yaml", "second.yaml", "third.yaml"]


def test_stages_are_found_beside_the_journey(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write().absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_journey(path).stages[0].path == tmp_path / "first.yaml"


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("name: way\nstages: []", "stages", "must have 1 or more entries"),
        ("name: way\nstages: first.yaml", "stages", "must be a list; got 'first.yaml'"),
        ("name: way\nstages: [1]", "stages[0]", "must be text; got 1"),
        ("name: way\nstages:", "stages", "must be a list; it is empty"),
        ("stages: [first.yaml]", "name", "is missing"),
        ("name: a/b\nstages: [first.yaml]", "name", "may hold letters"),
        ("name: way\nstages: [first.yaml]\nquestoin: x", "questoin", "did you mean 'question'?"),
        ("name: way\nstages: [first.yaml]\nmodel: {encoder: vgg11}", "model", "belongs into the sweep files"),
        ("name: way\nstages: [first.yaml]\nbase: first.yaml", "base", "belongs into the sweep files"),
        ("name: way\nstages: [first.yaml, ./first.yaml]", "stages[1]", "stands here twice"),
        ("name: way\nstages: [first.yaml, again.yaml]", "stages[1]", "is named first, as first.yaml is"),
        ("name: way\nstages: [way.yaml]", "stages[0]", "is a journey itself"),
        ("name: way\nstages: [frist.yaml]", "frist.yaml", "did you mean 'first.yaml'?"),
        ("name: way\nstages: [second.yaml, first.yaml]", "search.grid.model.encoder[1]", "first, a later stage"),
        ("name: way\nstages: [self.yaml]", "training.lr", "refers to the sweep that it stands in"),
        ("name: way\nstages: [first.yaml, misfit.yaml]", "training.lr", "must be a number; got 'resnet18'"),
        ("name: way\nstages: [first.yaml, unknown.yaml]", "training.lr", "there is no setting training.rl"),
        (
            "name: way\nstages: [second.yaml]",
            "search.grid.model.encoder[1]",
            "run it first: python run_sweep.py first.y",
        ),
    ],
)
def test_each_mistake_gets_one_message(write: Any, text: str, where: str, words: str) -> None:
    if "again" in text:
        write(again=f"name: first\n{FIRST}")
    write(
        self="training: {lr: '${winner:self.training.lr}'}",
        misfit="training: {lr: '${winner:first.model.encoder}'}",
        unknown="training: {lr: '${winner:first.training.rl}'}",
    )
    Path("way.yaml").write_text(f"{text}\n", encoding="utf-8")
    found = problems_of(Path("way.yaml"))
    assert [problem.where for problem in found] == [where], "\n".join(map(str, found))
    assert words in str(found[0])


def test_the_mistakes_of_all_stages_are_reported_at_once(write: Any) -> None:
    broken = {"first": f"{FIRST}training: {{lr: fast}}\n", "third": f"{THIRD}folds: {{k: 0}}\n"}
    found = problems_of(write(extra="base: x\n", **broken), "name=other", "training.epochs=0")
    assert [problem.where for problem in found] == ["--set name=other", "base"]
    found = problems_of(write(**broken), "training.epochs=0")
    places = [(problem.where, Path(problem.source.rpartition(":")[0]).name) for problem in found]
    # What --set says of all stages is wrong once.
    assert places == [("training.lr", "first.yaml"), ("training.epochs", ""), ("folds.k", "third.yaml")]


def test_what_waits_is_no_problem_even_beside_results_that_are_not_complete(write: Any, results: Any) -> None:
    path = write()
    results.add("first", {"encoder": "vgg11"}, {"status": "running"})
    assert len(load_journey(path).stages) == 3


# --- Running: what a stage does is for the caller to say.


def walk(path: Path, results: Any, outcomes: dict[str, Any]) -> tuple[int, list[Sweep], str]:
    """Runs a journey of which each stage ends with the rows given, or is not expected to run."""
    ran: list[Sweep] = []

    def run(sweep: Sweep) -> int:
        ran.append(sweep)
        results.add(sweep.name, *outcomes[sweep.name])
        return int(any(row.get("status") == "failed" for row in outcomes[sweep.name]))

    text = io.StringIO()
    code = run_journey(load_journey(path), Console(file=text, width=200), run)
    return code, ran, text.getvalue()


WON = [{"encoder": "vgg11", "params": 9}, {"encoder": "resnet18", "params": 11, "tied": True}]
FAILED = {"status": "failed"}


def test_each_stage_is_fed_by_those_before(write: Any, results: Any) -> None:
    outcomes: dict[str, Any] = {"first": WON, "second": [{"training": {"lr": 0.5}}], "third": [{}]}
    code, ran, printed = walk(write(), results, outcomes)
    assert code == 0
    encoders = [nested(c.settings)["model"]["encoder"] for c in ran[1].configurations]
    assert encoders == ["resnet34", "vgg11"]
    assert ran[2].settings.training.lr == 0.5
    for number, stage in enumerate(("first", "second", "third"), 1):
        assert f"way, stage {number} of 3: {stage}" in printed
    assert "way: Where to?" in printed
    rows = [line.split() for line in printed.splitlines() if line.rstrip().endswith(".csv")]
    assert [(row[0], row[-2], row[-1]) for row in rows] == [
        ("first", "2", "results/first.csv"),
        ("second", "1", "results/second.csv"),
        ("third", "1", "results/third.csv"),
    ]


def test_failed_runs_do_not_keep_the_next_stage_from_what_others_won(write: Any, results: Any) -> None:
    outcomes: dict[str, Any] = {"first": [*WON, FAILED], "second": [{}], "third": [{}]}
    code, ran, _ = walk(write(), results, outcomes)
    assert code == 1
    assert [sweep.name for sweep in ran] == ["first", "second", "third"]


def test_without_a_winner_the_journey_ends_and_says_what_to_do(write: Any, results: Any) -> None:
    code, ran, printed = walk(write(), results, {"first": [FAILED]})
    assert code == 1 and [sweep.name for sweep in ran] == ["first"]
    assert "first has no winner: no row of results/first.csv is ranked" in printed
    assert "The journey ends before second; the same command with --retry-failed takes it further" in printed
    [row] = [line.split() for line in printed.splitlines() if line.rstrip().endswith("results/first.csv")]
    assert row == ["first", "none", "results/first.csv"]


# --- The command.


def test_the_command_tells_a_journey_by_its_stages(write: Any, capsys: Capture) -> None:
    assert run_sweep.main([str(write(first="nme: x\n")), "--set", "training.lr=fast"]) == 2
    printed = capsys.readouterr()
    assert "nme (first.yaml:2): unknown key" in printed.err and printed.out == ""
    assert not Path("results").exists()
    assert run_sweep.main(["wya.yaml"]) == 2
    assert "did you mean 'way.yaml'?" in capsys.readouterr().err


@pytest.mark.slow
def test_the_plan_names_what_waits(write: Any, results: Any, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    path = write(stages=("first", "second"))
    tiny = [f"--set=dataset.options.{key}" for key in ("cases=30", "height=64", "width=64")]
    command = [str(path), "--plan", "--demo", *tiny, "--set", "dataset.image_size=32"]
    assert run_sweep.main(command) == 0
    printed = capsys.readouterr().out
    assert "2 configurations x folds = 6 runs, 0 done, 6 to run" in printed
    waiting = "search.grid.model.encoder[1] waits for the winner of first_demo"
    assert f"second_demo cannot be planned yet: {waiting}" in printed
    # Results of another draw of the data: first is complete, but not what would run now.
    results.add("first_demo", {"encoder": "vgg11"})
    assert run_sweep.main(command) == 0
    assert f"second_demo cannot be planned yet: {waiting}" in capsys.readouterr().out
    assert sorted(path.name for path in results.folder.iterdir()) == ["first_demo.csv", "runs"]
