"""What races are worth on tables that were really trained: 24 encoders x 20 epochs, on 3 folds and on 5.

``tests/fixtures/racing_grid<k>.tar.xz`` hold the CSVs of sweeps on 240 images of BUSI at 64 pixels, from scratch.
Their scores are those of CPUs and can be had again to the byte; their seconds are not: other work ran beside them for a
part of the time, which made some runs up to four times slower. So epochs count as the fastest of their configuration.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from experiments.racing import RUNG_SHARE, Rules
from experiments.replay.grid import Grid, read_grid
from experiments.replay.replay import replay

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[2] / "fixtures"
REPLAYS = 300
# Folds: the share of each that goes on, and of the training time that is spent then at most.
SHARES = {3: (0.33, 0.5), 5: (0.36, 0.4)}


@pytest.fixture(scope="module", params=[*SHARES], ids=lambda folds: f"{folds} folds")
def grid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    name, folder = f"racing_grid{request.param}", tmp_path_factory.mktemp("grid")
    with tarfile.open(FIXTURES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return read_grid(folder, name, "dice", undisturbed=True)


def test_the_grid_is_whole(grid: Grid) -> None:
    assert (grid.sweep, len(grid.configurations), grid.curves.shape[2]) == (f"racing_grid{grid.folds}", 24, 20)
    assert not grid.failed.any()
    assert (FIXTURES / f"{grid.sweep}.tar.xz").stat().st_size < 2 * 2**20


def test_confidence_alone_keeps_the_best_within_alpha(grid: Grid) -> None:
    rules = Rules()
    found = replay(grid, rules, REPLAYS)
    assert 1 - found.own.mean() <= rules.alpha and found.tied.all()
    assert found.seconds.mean() < 1


def test_shares_of_folds_and_epochs_save_most_of_the_time_and_cost_little(grid: Grid) -> None:
    share, most = SHARES[grid.folds]
    found = replay(grid, Rules(rung_share=RUNG_SHARE, fold_share=share), REPLAYS)
    assert found.seconds.mean() <= most and found.tied.mean() >= 0.99 and found.regret.mean() < 0.005
