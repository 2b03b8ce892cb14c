"""Replays of a grid: read from its tables, raced again and again, drawn."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.racing import Rules
from experiments.replay import Grid, read_grid, replay
from experiments.replay.__main__ import main
from utils.errors import UserError

SKILLS = (0.8, 0.79, 0.3, 0.78, 0.2, 0.77, 0.25, 0.76)
FOLDS, CASES, EPOCHS = 3, 30, 8


def write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def tables(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tables of a finished sweep of eight encoders; the ids of those that fail on fold 1 may be given."""

    def make(failing: str = "", status: str = "complete") -> Path:
        rng = np.random.default_rng(1)
        hard = rng.normal(0, 0.1, (FOLDS, CASES))
        runs, cases, epochs = [], [], []
        for number, skill in enumerate(SKILLS):
            for fold in range(FOLDS):
                name, failed = f"id{number}", f"id{number}" == failing and fold == 1
                scores = skill + hard[fold] + rng.normal(0, 0.02) + rng.normal(0, 0.03, CASES)
                run = {"configuration": name, "fold": fold}
                dice = "" if failed else scores.mean()
                kind = "failed" if failed else status
                runs.append({**run, "status": kind, "model.encoder": f"e{number}", "dice": dice, "train_seconds": 80})
                if failed:
                    continue
                for case, score in enumerate(scores):
                    shown = "" if case % 10 == 9 else score
                    cases.append({**run, "case": f"{fold}-{case}", "group": f"{fold}-{case // 2}", "dice": shown})
                for epoch in range(1, EPOCHS + 1):
                    epochs.append({**run, "epoch": epoch, "validation_dice": skill * epoch / EPOCHS, "seconds": 10})
        order = sorted((number for number in range(8) if f"id{number}" != failing), key=lambda n: -SKILLS[n])
        board = [
            {"rank": rank, "configuration": f"id{number}", "tied_with_best": "true" if rank < 3 else "false"}
            for rank, number in enumerate(order, 1)
        ]
        if failing:
            board.append({"rank": "", "configuration": failing, "tied_with_best": ""})
        for name, rows in (("_folds", runs), ("_cases", cases), ("_epochs", epochs), ("", board)):
            write(tmp_path / f"made{name}.csv", rows)
        return tmp_path

    return make


def test_a_grid_is_what_the_tables_say(tables: Callable[..., Path]) -> None:
    grid = read_grid(tables(), "made", "dice")
    assert (grid.configurations[0], grid.names[0], grid.folds) == ("id0", "e0", FOLDS)
    assert grid.winner == 0 and grid.tied == {0, 1}
    assert [cases.shape for cases in grid.cases] == [(8, CASES)] * FOLDS
    assert np.isnan(grid.cases[0][:, 9]).all() and np.isfinite(grid.cases[0][:, :9]).all()
    assert np.unique(grid.groups[0], return_counts=True)[1].tolist() == [2] * (CASES // 2)
    assert grid.seconds.sum() == 8 * FOLDS * 80
    assert grid.curves[2, 1].tolist() == pytest.approx([0.3 * epoch / EPOCHS for epoch in range(1, EPOCHS + 1)])
    assert grid.spent[2, 1].tolist() == pytest.approx([epoch / EPOCHS for epoch in range(1, EPOCHS + 1)])


def test_epochs_may_count_as_the_fastest(tables: Callable[..., Path]) -> None:
    folder = tables()
    path = folder / "made_epochs.csv"
    lines = path.read_text().splitlines()
    seconds = lines[0].split(",").index("seconds")
    cells = lines[1].split(",")  # of the first configuration's first epoch
    cells[seconds] = str(100 * float(cells[seconds]))
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    slowed, grid = read_grid(folder, "made", "dice"), read_grid(folder, "made", "dice", undisturbed=True)
    even = [epoch / EPOCHS for epoch in range(1, EPOCHS + 1)]
    assert slowed.spent[0, 0].tolist() != pytest.approx(even) and grid.spent[0, 0].tolist() == pytest.approx(even)
    assert np.unique(grid.seconds).size == 1 and grid.curves.tolist() == slowed.curves.tolist()


def test_replays_save_time_and_keep_the_winner(tables: Callable[..., Path]) -> None:
    grid = read_grid(tables(), "made", "dice")
    found = replay(grid, Rules(), 30)
    assert 0.5 < found.seconds.mean() < 0.9
    assert found.winner.all() and found.tied.all() and found.own.all()
    assert found.regret.tolist() == [0] * 30
    again = replay(grid, Rules(), 30)
    assert again.seconds.tolist() == found.seconds.tolist()


def test_a_race_that_stops_nobody_costs_the_grid(tables: Callable[..., Path]) -> None:
    found = replay(read_grid(tables(), "made", "dice"), Rules(margin=0.99), 3)
    assert found.seconds.tolist() == pytest.approx([1, 1, 1])


def test_halving_costs_what_was_trained_until_the_rungs(tables: Callable[..., Path]) -> None:
    grid = read_grid(tables(), "made", "dice")
    found = replay(grid, Rules(rung_share=0.25, kept=1, pilots=0, margin=0.99), 5, slots=1)
    # All of eight to epoch 4, two of them to the end of all folds.
    assert found.seconds.tolist() == pytest.approx([(8 * 4 + 2 * 4 + 2 * 2 * 8) / (8 * 3 * 8)] * 5)
    assert found.winner.all()


def test_a_share_of_each_fold_costs_just_that(tables: Callable[..., Path]) -> None:
    grid = read_grid(tables(), "made", "dice")
    found = replay(grid, Rules(fold_share=0.5, margin=0.99), 5, slots=1)
    assert found.runs.tolist() == pytest.approx([(8 + 4 + 2) / 24] * 5) == found.seconds.tolist()
    assert found.own.all() and found.regret.tolist() == [0] * 5


def test_regret_is_what_the_resampled_table_would_have_had(tables: Callable[..., Path]) -> None:
    grid = read_grid(tables(), "made", "dice")
    blind = Grid(**{**vars(grid), "curves": -grid.curves})  # validation that says the opposite
    found = replay(blind, Rules(rung_share=0.1, kept=1), 5)
    assert not found.own.any() and found.regret.mean() == pytest.approx(0.6, abs=0.05)


def test_a_failed_run_fails_its_configuration(tables: Callable[..., Path]) -> None:
    grid = read_grid(tables(failing="id0"), "made", "dice")
    assert grid.failed.sum() == 1 and grid.winner == 1 and math.isnan(grid.cases[1][0, 0])
    found = replay(grid, Rules(), 20)
    assert found.winner.all() and found.seconds.mean() < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "auroc"}, "must be a metric of cases"),
        ({"sweep": "other"}, "cannot be read"),
    ],
)
def test_what_cannot_be_replayed_is_said(tables: Callable[..., Path], change: dict[str, str], message: str) -> None:
    wanted = {"sweep": "made", "metric": "dice", **change}
    with pytest.raises(UserError, match=message):
        read_grid(tables(), wanted["sweep"], wanted["metric"])


def test_a_sweep_that_is_not_complete_is_not_replayed(tables: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="is running; only what is complete can be replayed"):
        read_grid(tables(status="running"), "made", "dice")


@pytest.mark.slow
def test_the_command_prints_its_figures_and_draws_one(
    tables: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tables()
    arguments = ["--replays", "20", "--alpha", "0.01", "0.1", "--margin", "0.02"]
    assert main([str(folder / "made"), *arguments]) == 0
    said = capsys.readouterr().out
    assert "the winner is e0, 1 are tied with it" in said and said.count("of the training seconds") == 2
    with Image.open(folder / "figures/made/replay.png") as picture:
        assert picture.width == 960
    assert (folder / "figures/made/replay.svg").exists()
    assert main([str(folder / "other")]) == 2
