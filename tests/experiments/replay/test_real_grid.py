"""What races are worth on a table that was really trained: 24 encoders x 3 folds x 20 epochs.

``tests/fixtures/racing_grid3.tar.xz`` holds the CSVs of a sweep on 240 images of BUSI at 64 pixels, from scratch.
Its scores are those of CPUs and can be had again to the byte; its seconds are not: while half of the encoders were
trained, other work ran beside them, which made these up to four times slower. So epochs count as the fastest ones did.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from experiments.racing import RUNG_SHARE, Rules
from experiments.replay.grid import Grid, read_grid
from experiments.replay.replay import replay

FIXTURE = Path(__file__).parents[2] / "fixtures" / "racing_grid3.tar.xz"
REPLAYS = 300


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    folder = tmp_path_factory.mktemp("grid")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    return read_grid(folder, "racing_grid3", "dice", undisturbed=True)


def test_the_grid_is_whole(grid: Grid) -> None:
    assert (len(grid.configurations), grid.folds, grid.curves.shape[2]) == (24, 3, 20)
    assert not grid.failed.any() and FIXTURE.stat().st_size < 2 * 2**20


def test_confidence_alone_keeps_the_best_within_alpha(grid: Grid) -> None:
    rules = Rules()
    found = replay(grid, rules, REPLAYS)
    assert 1 - found.own.mean() <= rules.alpha and found.tied.all()
    assert found.seconds.mean() < 1


def test_shares_of_folds_and_epochs_halve_the_time_and_cost_little(grid: Grid) -> None:
    found = replay(grid, Rules(rung_share=RUNG_SHARE, fold_share=0.33), REPLAYS)
    assert found.seconds.mean() <= 0.5 and found.tied.mean() >= 0.99 and found.regret.mean() < 0.005
