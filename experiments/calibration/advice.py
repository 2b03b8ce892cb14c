"""What a calibration means for a sweep's settings, in words."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.calibration.measurement import Calibration
from experiments.sweep import TrainingSettings

WORTH = 1.1
"""How many times as fast something must be to be worth a line: a few rounds of a small network are no finer."""


def advice(found: Calibration, trainings: Iterable[TrainingSettings], *, side_by_side: bool) -> list[str]:
    """What would train faster on this CPU than the settings do, a sentence each.

    trainings: of the configurations. side_by_side: whether the runs have a thread each, and there are several at once.
    """
    trainings = list(trainings)
    lines = []
    if found.bf16 >= WORTH and any(each.amp in ("auto", "none") for each in trainings):
        lines.append(f"bf16 would be {found.bf16:.1f} times as fast on this machine: training.amp: bf16")
    if found.channels_last <= 1 / WORTH and any(each.channels_last for each in trainings):
        faster = f"{1 / found.channels_last:.1f} times as fast"
        lines.append(f"contiguous images would be {faster} on this machine: training.channels_last: false")
    if found.side_by_side <= 1 / WORTH and side_by_side:
        faster = f"{1 / found.side_by_side:.1f} times as fast"
        lines.append(f"one run with two threads would be {faster} as two with one: resources.cpus: 2")
    if found.side_by_side >= WORTH and not side_by_side:
        faster = f"{found.side_by_side:.1f} times as fast"
        lines.append(f"two runs with a thread each would be {faster} as one with two: resources.cpus: 1")
    # Which of them is taken is for a person to say: every one changes the last digits of the results.
    return [f"{line} (other last digits)" for line in lines]
