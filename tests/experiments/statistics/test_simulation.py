"""The promises of the statistics where the truth is known; the figures are those that the benchmark prints."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from experiments.statistics import ALPHA

SIMULATION = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/simulation.py"))
TABLES = 2_000


@pytest.mark.slow
@pytest.mark.parametrize("world", SIMULATION["NULLS"], ids=lambda world: world.name)
def test_identical_configurations_are_rarely_told_apart(world: object) -> None:
    errors = SIMULATION["not_tied"](world, TABLES)
    assert errors["leaderboard"] <= ALPHA
    # What the second test is for: cases alone, which know nothing of training noise, break the promise.
    assert errors["cases alone"] > ALPHA


@pytest.mark.slow
@pytest.mark.parametrize("world", SIMULATION["COVERED"], ids=lambda world: world.name)
def test_intervals_hold_the_truth_as_often_as_they_say(world: object) -> None:
    low, high = SIMULATION["COVERAGE"]
    assert low <= SIMULATION["coverage"](world, TABLES) <= high
