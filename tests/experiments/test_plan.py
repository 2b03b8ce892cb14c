"""The plan of a sweep of which some is on record already."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from torch import Tensor, nn

from experiments.claims import Capacity
from experiments.ledger import Ledger
from experiments.plan import PlannedCost, affordable, show_plan, together
from experiments.preflight import Slot, record_impossible
from experiments.preparation import open_sources, survey
from experiments.sweep import Budget, Resources, load_sweep
from models.bottlenecks import BOTTLENECKS

SWEEP = """\
name: tiny
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
folds: {k: 2}
model: {encoder: tu-test_resnet, encoder_weights: none}
"""
IMPOSSIBLE = SWEEP.replace("none}", "none, bottleneck: one_channel_more}")


class OneChannelMore(nn.Module):
    """A bottleneck that no decoder can work with, as torch finds out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels + 1, 1)

    def forward(self, feature: Tensor) -> Tensor:
        return self.convolution(feature)


def test_what_is_recorded_as_impossible_is_planned_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BOTTLENECKS._entries, "one_channel_more", OneChannelMore)
    (tmp_path / "tiny.yaml").write_text(IMPOSSIBLE, encoding="utf-8")
    sweep = load_sweep(tmp_path / "tiny.yaml")
    [planned] = survey(sweep, open_sources(sweep, lambda stage, done, total: None)).planned
    record_impossible(planned, "for a reason", Ledger(tmp_path, sweep.name))
    said = io.StringIO()
    assert show_plan(sweep, tmp_path, Console(file=said, width=200)) == 0
    assert "can never run: RuntimeError" in said.getvalue()
    assert "2 runs, 2 done (2 failed), 0 to run" in said.getvalue()


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("hours: 100", "The budget of 100 hours allows about 2 of them"),
        ("gpu_hours: 100", "The budget of 100 GPU-hours allows about 2 of them"),
        ("gpu_hours: 0.00001", "The budget of 1e-05 GPU-hours allows about 0 of them"),
    ],
)
def test_a_plan_says_what_the_budget_allows(tmp_path: Path, budget: str, said: str) -> None:
    (tmp_path / "tiny.yaml").write_text(f"{SWEEP}search: {{budget: {{{budget}}}}}\n", encoding="utf-8")
    printed = io.StringIO()
    assert show_plan(load_sweep(tmp_path / "tiny.yaml"), tmp_path, Console(file=printed, width=200)) == 2
    assert said in printed.getvalue()


@pytest.fixture
def costs(tmp_path: Path) -> Sequence[PlannedCost]:
    """Two configurations of two folds of 90 s that take 2 GiB, one of 9 s and 30 GiB, and one that can never run."""
    (tmp_path / "tiny.yaml").write_text(SWEEP, encoding="utf-8")
    sweep = load_sweep(tmp_path / "tiny.yaml")
    [planned] = survey(sweep, open_sources(sweep, lambda stage, done, total: None)).planned
    small, large = (replace(planned, id=name) for name in ("small", "large"))
    costs = [PlannedCost(one, 2, (), None, 90.0, memory=2 * 2**30) for one in (planned, small)]
    costs.append(PlannedCost(large, 2, (), None, 9.0, memory=30 * 2**30))
    return [*costs, PlannedCost(replace(planned, id="impossible"), 2, (), None, 5.0, problem="too deep")]


def test_a_budget_pays_for_the_first_fold_of_all_before_the_others(costs: Sequence[PlannedCost]) -> None:
    # One after the other: 90, 180, 189 | 279, 369, 378 s.
    for seconds, expected in ((89, 0), (90, 1), (189, 3), (278, 3), (279, 4), (1000, 6)):
        assert affordable(costs, Budget(hours=seconds / 3600), 1, 1.0) == expected
        assert affordable(costs, Budget(hours=seconds / 2 / 3600), 2, 1.0) == expected
        assert affordable(costs, Budget(gpu_hours=seconds / 4 / 3600), 8, 0.25) == expected


def test_a_plan_counts_runs_that_share_a_gpu(costs: Sequence[PlannedCost]) -> None:
    machine = Capacity(cores=16, gpus=2, machines=1, host_memory=2**40, gpu_memory=80 * 2**30)
    slot = Slot("cuda", machine.gpu_memory, at_once=2)
    assert together(costs[:2], Resources(), slot, machine) == (8, 0.25)
    assert together(costs[2:3], Resources(), slot, machine) == (4, 0.5)
    assert together(costs[:1], Resources(gpus=1), slot, machine) == (2, 1.0)
    assert together(costs, Resources(), Slot("cpu", 0, at_once=16), machine) == (16, 1.0)
