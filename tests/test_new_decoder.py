"""A decoder is added in one place: one new file, and the sweep file, the plan and the training know it."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DECODER = '''"""Scores at stride 4, enlarged."""

from torch import Tensor, nn

from models.decoders.decoder import Decoder
from models.decoders.registry import DECODERS


@DECODERS.register("quarter")
class Quarter(Decoder):
    """Convolutions on the feature of stride 4 alone.

    channels: of the convolutions.
    """

    stride = 4

    def __init__(self, encoder, *, channels: int = 16, depth: int = 2) -> None:
        super().__init__()
        self.out_channels = channels
        self.layers = nn.Sequential(nn.Conv2d(encoder.out_channels[2], channels, 3, padding=1), nn.ReLU())

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.layers(features[2])
'''

SWEEP = """
name: quarters
question: Is the feature of stride 4 enough?
dataset: {name: phantom, image_size: 32, options: {cases: 36, height: 64, width: 64}}
folds: {k: 3, use: 1}
model: {encoder: shufflenet_v2_x0_5, encoder_weights: none}
training: {epochs: 1, batch_size: 8}
search: {grid: {model.decoder: [unet, quarter, {quarter: {channels: 8}}]}}
resources: {cpus: 1}
"""


@pytest.mark.slow
def test_a_new_file_is_all_that_a_decoder_takes(tmp_path: Path) -> None:
    for name in ("experiments", "models", "utils"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_sweep.py", tmp_path)
    (tmp_path / "models" / "decoders" / "quarter.py").write_text(DECODER, encoding="utf-8")
    (tmp_path / "quarters.yaml").write_text(SWEEP, encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "run_sweep.py", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", "COLUMNS": "140"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    mistaken = run("quarters.yaml", "--set", "search.grid={model.decoder: [quartr]}")
    assert mistaken.returncode == 2
    assert "did you mean 'quarter'?" in mistaken.stderr

    done = run("quarters.yaml", "--no-report")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader((tmp_path / "results" / "quarters.csv").open(encoding="utf-8")))
    assert [row["status"] for row in rows] == ["complete"] * 3
    assert len({row["params_millions"] for row in rows}) == 3
