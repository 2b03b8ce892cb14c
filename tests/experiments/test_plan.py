"""The plan of a sweep of which some is on record already."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from torch import Tensor, nn

from experiments.ledger import Ledger
from experiments.plan import show_plan
from experiments.preflight import record_impossible
from experiments.preparation import open_sources, survey
from experiments.sweep import load_sweep
from models.bottlenecks import BOTTLENECKS

SWEEP = """\
name: tiny
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
folds: {k: 2}
model: {encoder: tu-test_resnet, encoder_weights: none, bottleneck: one_channel_more}
"""


class OneChannelMore(nn.Module):
    """A bottleneck that no decoder can work with, as torch finds out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels + 1, 1)

    def forward(self, feature: Tensor) -> Tensor:
        return self.convolution(feature)


def test_what_is_recorded_as_impossible_is_planned_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BOTTLENECKS._entries, "one_channel_more", OneChannelMore)
    (tmp_path / "tiny.yaml").write_text(SWEEP, encoding="utf-8")
    sweep = load_sweep(tmp_path / "tiny.yaml")
    [planned] = survey(sweep, open_sources(sweep, lambda stage, done, total: None)).planned
    record_impossible(planned, "for a reason", Ledger(tmp_path, sweep.name))
    said = io.StringIO()
    assert show_plan(sweep, tmp_path, Console(file=said, width=200)) == 0
    assert "can never run: RuntimeError" in said.getvalue()
    assert "2 runs, 2 done (2 failed), 0 to run" in said.getvalue()
