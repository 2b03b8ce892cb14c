"""What workers execute in the test of the ladder's scheduling; imported by name in the workers."""

from __future__ import annotations

from typing import Any

from experiments.training.adjustments import Adjustments, OutOfMemoryError
from tests.experiments.scheduling.executions import Quick


class Hungry(Quick):
    """Trains nothing; ``settings.rungs`` attempts are out of memory before one is not, the batch being of one case."""

    def step(self) -> Any:
        progress = super().step()
        adjusted = Adjustments.read(self.spec.folder)
        if len(adjusted.notes) < self.spec.settings["rungs"]:
            further = adjusted.with_less_memory(1, "in epoch 1")
            assert further is not None
            further.write(self.spec.folder)
            raise OutOfMemoryError(further.notes[-1])
        return progress
