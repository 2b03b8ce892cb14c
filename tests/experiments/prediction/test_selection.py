"""Who answers: rank 1, the first few, or whom the user names; and what is said of the choice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.prediction import open_ensemble, select_runs
from utils.errors import UserError


def leaderboard(results: Path, *rows: tuple[str, str, str, str, str]) -> None:
    lines = ["rank,configuration,status,model.encoder,folds,tied_with_best"]
    lines += [f"{rank},{id},{status},{encoder},2,{tied}" for rank, id, status, encoder, tied in rows]
    (results / "tiny.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")


@pytest.fixture
def copied(sweep: Any, tmp_path: Path) -> tuple[Path, str, str]:
    """Results with a second configuration, a copy of the first under another name: folder and both ids."""
    results = Path(shutil.copytree(sweep.results, tmp_path / "results"))
    return results, sweep.configuration, "0" * 12


def test_all_folds_of_rank_1_answer(sweep: Any) -> None:
    found = select_runs(sweep.results, "tiny")
    assert [run.name for run in found.runs] == [f"{sweep.configuration}/fold-{fold}" for fold in range(2)]
    assert "no other configuration is tied" in found.notes[-1] and "tu-test_resnet" in found.notes[-1]
    ensemble = open_ensemble(found, torch.device("cpu"))
    assert ensemble.classes == ("benign", "malignant", "normal")
    assert not any(member.network.training for member in ensemble.members)


def test_a_tie_is_told_and_rank_1_still_answers(copied: tuple[Path, str, str]) -> None:
    results, first, other = copied
    leaderboard(results, ("2", other, "complete", "b", "true"), ("1", first, "complete", "a", "true"))
    found = select_runs(results, "tiny")
    assert {run.record.configuration for run in found.runs} == {first}
    assert "1 more are tied with it" in found.notes[-1]


def test_an_incomplete_sweep_is_used_and_said_to_be_one(copied: tuple[Path, str, str]) -> None:
    results, first, other = copied
    leaderboard(results, ("1", first, "complete", "a", "true"), ("", other, "pending", "b", ""))
    assert "tiny is not complete" in select_runs(results, "tiny").notes[0]


def test_one_run_or_one_configuration_can_be_named(sweep: Any) -> None:
    assert len(select_runs(sweep.results, "tiny", sweep.configuration).runs) == 2
    for name in (f"{sweep.configuration}/fold-1", f"{sweep.configuration}/1"):
        [run] = select_runs(sweep.results, "tiny", name).runs
        assert run.record.fold == 1


def test_what_is_not_there_is_named_with_what_is(sweep: Any) -> None:
    cases = {
        ("tinny", None): "did you mean 'tiny'?",
        ("tiny", "0" * 12): f"Valid: {sweep.configuration}",
        ("tiny", "../../etc"): "no such run",
        ("tiny", f"{sweep.configuration}/fold-7"): f"Valid: {sweep.configuration}/fold-0",
    }
    for (name, run), message in cases.items():
        with pytest.raises(UserError) as raised:
            select_runs(sweep.results, name, run)
        assert message in str(raised.value)


@pytest.mark.parametrize(
    "row", [("1", "../escape", "complete", "a", "true"), ("one", "0" * 12, "complete", "a", "true")]
)
def test_a_damaged_leaderboard_is_refused(copied: tuple[Path, str, str], row: tuple[str, str, str, str, str]) -> None:
    leaderboard(copied[0], row)
    with pytest.raises(UserError, match="is damaged"):
        select_runs(copied[0], "tiny")


def test_without_a_ranked_row_there_is_no_winner(copied: tuple[Path, str, str]) -> None:
    leaderboard(copied[0], ("", copied[1], "failed", "a", ""))
    with pytest.raises(UserError, match="no configuration is ranked yet"):
        select_runs(copied[0], "tiny")


def test_a_damaged_record_is_refused_and_left_where_it_is(copied: tuple[Path, str, str]) -> None:
    results, first, _ = copied
    path = results / "runs" / "tiny" / first / "fold-1" / "record.json"
    path.write_text(path.read_text().replace('"fold": 1', '"fold": 2'))
    with pytest.raises(UserError, match="does not match its checksum"):
        select_runs(results, "tiny")
    assert path.is_file()
