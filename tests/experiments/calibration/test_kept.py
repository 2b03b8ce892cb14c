"""A machine is measured once for its CPU and its torch; a damaged file costs a measurement, nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from experiments.calibration import Calibration, calibration_here, measure

FOUND = Calibration(1.25, 1.5, math.nan)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "segmentation-sweeps"


def counted() -> tuple[Callable[[int], Calibration], list[int]]:
    calls: list[int] = []

    def measured(cores: int) -> Calibration:
        calls.append(cores)
        return FOUND

    return measured, calls


def same(one: Calibration | None) -> bool:
    return one is not None and str(one) == str(FOUND)  # NaN is unlike itself


def test_a_machine_is_measured_once(cache: Path) -> None:
    measured, calls = counted()
    assert calibration_here(None) is None
    assert same(calibration_here(measured)) and same(calibration_here(measured)) and same(calibration_here(None))
    assert len(calls) == 1 and calls[0] >= 1
    assert len(list(cache.iterdir())) == 1


def test_another_torch_is_measured_for_itself(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured, calls = counted()
    calibration_here(measured)
    monkeypatch.setattr(torch, "__version__", "9.9.9")
    assert calibration_here(None) is None
    calibration_here(measured)
    assert len(calls) == len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("text", ["", "[]", '{"times_as_fast": {"bf16": 1}}', '{"times_as_fast": {"speed": 1}}'])
def test_a_damaged_file_is_said_and_measured_anew(cache: Path, text: str) -> None:
    measured, calls = counted()
    calibration_here(measured)
    [path] = cache.iterdir()
    path.write_text(text)
    with pytest.warns(UserWarning, match="cannot be read"):
        assert same(calibration_here(measured))
    assert len(calls) == 2 and same(calibration_here(None))


def test_where_nothing_can_be_kept_the_figures_are_there_all_the_same(cache: Path) -> None:
    cache.write_text("a file in the place of the folder")
    measured, _ = counted()
    with pytest.warns(UserWarning, match="cannot be"):
        assert same(calibration_here(measured))


@pytest.mark.slow
def test_measuring_gives_ratios_and_leaves_threads_and_random_numbers_alone() -> None:
    torch.manual_seed(3)
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    found = measure(2)
    assert all(0.01 < ratio < 100 for ratio in (found.bf16, found.channels_last, found.side_by_side))
    assert torch.get_num_threads() == threads and torch.equal(torch.random.get_rng_state(), state)
    assert math.isnan(measure(1).side_by_side)
