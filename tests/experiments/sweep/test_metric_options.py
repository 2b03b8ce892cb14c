"""Options of metrics in a sweep file: checked like every key, and part of the id only where they say something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from experiments.sweep import Settings, nested
from experiments.sweep.configuration import Configuration, identity
from utils.errors import Problem


def settings(**changes: Any) -> Settings:
    return Settings.model_validate(changes)


def test_options_are_filled_in_and_survive_a_record() -> None:
    assert settings().metrics == {}
    found = settings(metrics={"nsd": {"tolerance": 3}})
    assert found.metrics == {"nsd": {"tolerance": 3.0}}
    assert settings(metrics={"nsd": None}).metrics == {"nsd": {"tolerance": 2.0}}
    assert Settings.model_validate(nested(found)) == found


def test_only_what_differs_from_the_default_is_another_experiment() -> None:
    assert identity(settings(metrics={"nsd": {"tolerance": 2.0}})) == identity(settings())
    assert identity(settings(metrics={"nsd": {"tolerance": 3.0}}))["metrics"] == {"nsd": {"tolerance": 3.0}}
    assert identity(settings(training={"snapshots": 4})) == identity(settings())
    ids = {
        Configuration(settings(**given), {}, "one").id("d", "s", "1")
        for given in ({}, {"training": {"snapshots": 4}}, {"metrics": {"nsd": {}}})
    }
    assert len(ids) == 1


MISTAKES = """\
name: mistaken
metrics:
  nsd: {tolerence: 1}
  nds: {tolerance: 1}
  dice: {smooth: 1}
  hd95: 3
training: {snapshots: -1}
search: {grid: {metrics.nsd.tolerance: [1, 2], training.snapshots: [1, 2]}}
"""


def test_every_mistake_is_told_with_its_line(problems: Callable[[str], list[Problem]]) -> None:
    found = {problem.where: problem for problem in problems(MISTAKES)}
    misspelt = found["metrics.nsd.tolerence"]
    assert (misspelt.nearest, misspelt.source.rpartition(":")[2]) == ("tolerance", "3")
    assert (found["metrics.nds"].nearest, found["metrics.nds"].source.rpartition(":")[2]) == ("nsd", "4")
    assert "no options" in found["metrics.dice.smooth"].message
    assert found["metrics.hd95"].value == 3
    assert "at least 0" in found["training.snapshots"].message
    assert "compared by" in found["search.grid.metrics.nsd.tolerance"].message
    assert "cannot vary" in found["search.grid.training.snapshots"].message
