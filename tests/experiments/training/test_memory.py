"""The peak of a run is its own, not that of the largest run that its worker has seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.training.memory import PeakMemory


def resettable() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


@pytest.mark.skipif(not resettable(), reason="this system does not let a process reset its high-water mark")
def test_the_peak_is_reset_between_runs() -> None:
    meter = PeakMemory(torch.device("cpu"))
    meter.start()
    before = meter.mebibytes()
    tensor = torch.ones(300 * 2**20 // 4)
    during = meter.mebibytes()
    assert during > before + 250
    del tensor
    assert meter.mebibytes() == pytest.approx(during, rel=0.05), "a peak stays when the memory is given back"
    meter.start()
    assert meter.mebibytes() < during - 250
