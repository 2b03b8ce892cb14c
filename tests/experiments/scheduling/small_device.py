"""What workers execute in the test of a whole sweep on a device that is too small; imported by name in the workers."""

from __future__ import annotations

import os

from experiments.training.execution import Execution, Progress
from experiments.training.spec import RunSpec
from tests.experiments.training.devices.device import Device

ROOM = 900_000
"""Bytes of the device."""


class Confined(Execution):
    """Trains on a device of `ROOM` bytes; ``processes`` says by which processes."""

    def __init__(self, spec: RunSpec) -> None:
        super().__init__(spec)
        spec.folder.mkdir(parents=True, exist_ok=True)
        with (spec.folder / "processes").open("a") as file:
            file.write(f"{os.getpid()}\n")

    def step(self) -> Progress:
        with Device(ROOM):
            return super().step()
