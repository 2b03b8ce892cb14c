"""A small sweep on made images, planned, and preflights of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experiments.ledger import Ledger
from experiments.preflight import Preflight, Slot, preflight
from experiments.preparation import PlannedConfiguration, Survey, open_sources, survey
from experiments.sweep import load_sweep

TINY = """\
name: tiny
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
folds: {k: 3}
model: {encoder: tu-test_resnet, encoder_weights: none}
training: {epochs: 1, batch_size: 4}
"""
ROOMY = Slot("cpu", 2**40)


class Stages(list[tuple[str, int, int]]):
    """The progress that was reported."""

    def __call__(self, name: str, done: int, total: int) -> None:
        self.append((name, done, total))


@dataclass
class Planned:
    """A sweep's configurations, an empty results folder, and the preflights of both."""

    survey: Survey
    results: Path
    stages: Stages

    @property
    def configurations(self) -> tuple[PlannedConfiguration, ...]:
        """Of the sweep, in its order."""
        return self.survey.planned

    @property
    def ledger(self) -> Ledger:
        """A fresh view of what is on the disk."""
        return Ledger(self.results, "tiny")

    def check(self, slot: Slot = ROOMY, **more: Any) -> Preflight:
        """A preflight."""
        return preflight(self.configurations, self.ledger, self.results, slot, self.stages, **more)


Plan = Callable[..., Planned]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Plans the tiny sweep with more lines and overrides of keys."""

    def plan(more: str = "", *overrides: str) -> Planned:
        path = tmp_path / "tiny.yaml"
        path.write_text(TINY + more, encoding="utf-8")
        sweep = load_sweep(path, overrides)
        stages = Stages()
        return Planned(survey(sweep, open_sources(sweep, Stages())), tmp_path / "results", stages)

    return plan
