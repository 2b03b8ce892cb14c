"""What workers execute in the tests of the scheduling, in the place of training; imported by name in the workers."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass

import experiments
from experiments.ledger.record import Record, commit
from experiments.training.spec import RunSpec


@dataclass(frozen=True)
class Progress:
    epoch: int
    epochs: int
    objective: float | None
    ended: bool


class Quick:
    """Two steps, then a record. ``settings.deaths`` attempts before that end with the death of the process.

    Beside the record it leaves ``trace.json``: the process, when it began and ended, and where our packages are.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec, self.began, self.epoch = spec, time.time(), 0
        spec.folder.mkdir(parents=True, exist_ok=True)

    def step(self) -> Progress:
        self.epoch += 1
        if self.epoch == 1:
            attempts = self.spec.folder / "attempts"
            with attempts.open("a") as file:
                file.write(f"{os.getpid()}\n")
            if len(attempts.read_text().split()) <= self.spec.settings.get("deaths", 0):
                os.kill(os.getpid(), signal.SIGKILL)
            return Progress(1, 2, 0.5, ended=False)
        trace = {"pid": os.getpid(), "began": self.began, "ended": time.time(), "packages": experiments.__file__}
        (self.spec.folder / "trace.json").write_text(json.dumps(trace))
        record = Record(
            sweep=self.spec.sweep,
            configuration=self.spec.configuration,
            fold=self.spec.fold,
            status="complete",
            code="",
            data="",
            split="",
            seed=0,
        )
        commit(record, self.spec.folder)
        return Progress(2, 2, 0.6, ended=True)

    def close(self) -> None:
        pass


class Endless(Quick):
    """Never ends; ``attempts`` says in which process."""

    def step(self) -> Progress:
        if self.epoch == 0:
            return super().step()
        time.sleep(600)
        raise AssertionError("outlived the test")


class Meeting(Quick):
    """Is not made before another process makes one for another run of the sweep, or for 30 seconds."""

    def __init__(self, spec: RunSpec) -> None:
        super().__init__(spec)
        place = spec.folder.parents[1] / "meeting"
        place.mkdir(exist_ok=True)
        (place / str(os.getpid())).touch()
        deadline = time.time() + 30
        while len(list(place.iterdir())) < 2 and time.time() < deadline:
            time.sleep(0.05)
