"""What a race promises where the truth is known; the figures are those that the benchmark prints."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from experiments.racing import FoldTable, Noise, Rules, leads_of

SIMULATION = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/racing.py"))
RACES = 2000
RULES = Rules(alpha=0.05, margin=0)
"""Larger than anybody would choose, so that what is too frequent shows."""


@pytest.mark.slow
@pytest.mark.parametrize("world", SIMULATION["NULLS"], ids=lambda world: world.name)
def test_of_identical_configurations_the_best_is_rarely_lost(world: Any) -> None:
    found = SIMULATION["outcome"](world, RACES, RULES)
    assert found.winner <= RULES.alpha
    if not world.shared:
        assert found.named <= RULES.alpha
    # A bound that is never exceeded would keep the promise too.
    assert found.any > 0


@pytest.mark.slow
def test_without_the_noise_of_training_the_best_would_be_lost() -> None:
    """That a bound of cases alone breaks the promise shows that the simulation can tell."""
    world = next(world for world in SIMULATION["NULLS"] if world.name == "training noise above all")
    tables, _ = world.tables(200)
    lost = 0
    for scores in tables:
        folds = [FoldTable(scores[:, fold].mean(axis=1), scores[:, fold], world.codes) for fold in range(2)]
        found = leads_of(folds, Noise(0.0, 10**6), RULES.alpha)
        lost += found.bounds[0] > 0
    assert lost / 200 > 3 * RULES.alpha


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 5])
def test_where_configurations_differ_much_is_saved_and_the_winner_kept(number: int) -> None:
    world, skills = SIMULATION["GRADED"][number]
    found = SIMULATION["outcome"](world, 50, Rules(), skills)
    assert found.runs < 0.75 and found.winner == 0
