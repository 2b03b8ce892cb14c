"""What workers execute in the test of machines without a shared folder; imported by name in the workers."""

from __future__ import annotations

import os
import time
from pathlib import Path

from experiments.storage.execution import StoredExecution
from experiments.storage.provisions import FOLDER_VARIABLE
from experiments.training.execution import Execution, Progress


class Held(Execution):
    """Comes no further than its second epoch on a machine whose folder holds a file named ``hold``."""

    epoch = 0

    def step(self) -> Progress:
        hold = Path(os.environ[FOLDER_VARIABLE], "hold")
        hold.with_name(f"pid-{os.getpid()}").touch()
        if self.epoch == 2 and hold.exists():
            hold.with_name("held").write_text(str(self.spec.folder))
            while True:
                time.sleep(1)
        self.epoch += 1
        return super().step()


class StoredHeld(StoredExecution):
    """The same by way of a store."""

    training = Held
