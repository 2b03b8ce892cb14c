"""How the numbers are made again: the one file that stands for a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.report.protocol import resolved_file
from experiments.sweep import load_sweep

SWEEPS = Path(__file__).resolve().parents[3] / "sweeps"


@pytest.mark.parametrize("name", ["encoders", "losses", "vgg_fcn", "aca", "hyperparameters"])
@pytest.mark.parametrize("demo", [False, True])
def test_it_stands_for_the_same_configurations(name: str, demo: bool, tmp_path: Path) -> None:
    sweep = load_sweep(SWEEPS / f"{name}.yaml", ["training.warmup_epochs=1"], demo, tmp_path)
    file = tmp_path / "resolved.yaml"
    file.write_text(resolved_file(sweep), encoding="utf-8")
    again = load_sweep(file, results=tmp_path)
    assert again.name == sweep.name and again.question == sweep.question and again.varied == sweep.varied
    assert again.configurations == sweep.configurations
    assert (again.search, again.resources, again.racing) == (sweep.search, sweep.resources, sweep.racing)
    if sweep.space is not None:
        assert again.space is not None and again.space.to_json() == sweep.space.to_json()
