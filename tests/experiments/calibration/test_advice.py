"""Advice names what would be faster, and the setting for it, and nothing that is set already or makes no difference."""

from __future__ import annotations

from experiments.calibration import Calibration, advice
from experiments.sweep.schema.settings import TrainingSettings

PLAIN = [TrainingSettings()]
EQUAL = Calibration(1.0, 1.0, 1.0)


def test_where_nothing_pays_there_is_nothing_to_say() -> None:
    for side_by_side in (True, False):
        assert advice(EQUAL, PLAIN, side_by_side=side_by_side) == []
        assert advice(Calibration(0.3, 1.5, float("nan")), PLAIN, side_by_side=side_by_side) == []


def test_bf16_is_named_where_it_is_faster_and_not_set() -> None:
    [line] = advice(Calibration(1.34, 1.0, 1.0), PLAIN, side_by_side=True)
    assert line == "bf16 would be 1.3 times as fast on this machine: training.amp: bf16 (other last digits)"
    already = [TrainingSettings(amp="bf16")]
    assert advice(Calibration(1.34, 1.0, 1.0), already, side_by_side=True) == []
    assert len(advice(Calibration(1.34, 1.0, 1.0), [*already, *PLAIN], side_by_side=True)) == 1


def test_contiguous_images_are_named_where_channels_last_is_slower() -> None:
    [line] = advice(Calibration(1.0, 0.5, 1.0), PLAIN, side_by_side=True)
    assert "2.0 times as fast" in line and "training.channels_last: false" in line
    assert advice(Calibration(1.0, 0.5, 1.0), [TrainingSettings(channels_last=False)], side_by_side=True) == []


def test_runs_are_advised_to_be_as_many_as_pay() -> None:
    [line] = advice(Calibration(1.0, 1.0, 1.5), PLAIN, side_by_side=False)
    assert "1.5 times as fast" in line and "resources.cpus: 1" in line
    assert advice(Calibration(1.0, 1.0, 1.5), PLAIN, side_by_side=True) == []
    [line] = advice(Calibration(1.0, 1.0, 0.5), PLAIN, side_by_side=True)
    assert "2.0 times as fast" in line and "resources.cpus: 2" in line
