"""The commands that make files again from the ledger."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from experiments.leaderboard.__main__ import main as rebuild
from experiments.report.__main__ import main as report
from experiments.sweep import Sweep

Capture = pytest.CaptureFixture[str]


def contents(results: Path) -> dict[str, bytes]:
    """Every file but the ledger's and the database: its name and bytes."""
    kept = (path for path in results.rglob("*") if path.is_file() and "runs" not in path.relative_to(results).parts)
    return {str(path.relative_to(results)): path.read_bytes() for path in kept if path.suffix != ".db"}


@pytest.mark.slow
def test_everything_but_the_ledger_comes_back(
    finished_sweep: Callable[..., Sweep], tmp_path: Path, capsys: Capture
) -> None:
    sweep, results = finished_sweep({"good": 0.8, "near": 0.79, "broken": None}), tmp_path / "results"
    arguments = [str(sweep.source), "--results", str(results)]
    assert rebuild(arguments) == 0
    before = contents(results)
    tables = {"made.csv", "made_folds.csv", "made_epochs.csv", "made_cases.csv", "made_audit.csv"}
    assert {*tables, "made.html", "made.md", "made_classification.txt"} <= set(before)
    assert any(name.startswith("figures/made/") for name in before)

    for path in results.iterdir():
        if path.name != "runs":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert rebuild(arguments) == 0
    assert contents(results) == before
    [study] = optuna.get_all_study_summaries(f"sqlite:///{results / 'optuna.db'}")
    assert (study.study_name, study.n_trials) == ("made", 3)
    printed = capsys.readouterr().out
    assert "Report:" in printed and "Leaderboard:" in printed


def test_a_sweep_that_never_ran_is_explained(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("name: never\ndataset: {name: phantom}\n", encoding="utf-8")
    for command in (rebuild, report):
        assert command([str(file), "--results", str(tmp_path / "results")]) == 2
        printed = capsys.readouterr()
        assert "nothing of the sweep never has run yet" in printed.err and "Traceback" not in printed.err
        assert not (tmp_path / "results").exists()


def test_mistakes_in_the_file_are_explained_as_by_the_sweeps_command(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("name: s\ntraining: {epoch: 3}\n", encoding="utf-8")
    assert report([str(file)]) == 2
    assert "did you mean 'epochs'?" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["experiments.leaderboard", "experiments.report"])
def test_help_is_answered(module: str) -> None:
    ended = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0 and f"python -m {module}" in ended.stdout
    assert all(option in ended.stdout for option in ("--set", "--demo", "--results"))
