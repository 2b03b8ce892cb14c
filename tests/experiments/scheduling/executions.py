"""What workers execute in the tests of the scheduling, in the place of training; imported by name in the workers."""

from __future__ import annotations

import ctypes
import errno
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


class Stopped(Quick):
    """Stops its process in as many attempts as ``settings.deaths`` says."""

    def step(self) -> Progress:
        attempts = self.spec.folder / "attempts"
        begun = len(attempts.read_text().split()) if attempts.exists() else 0
        if self.epoch == 0 and begun < self.spec.settings.get("deaths", 0):
            with attempts.open("a") as file:
                file.write(f"{os.getpid()}\n")
            self.hang()
            raise AssertionError("outlived the test")
        if self.epoch == 0:
            with attempts.open("a") as file:
                file.write(f"{os.getpid()}\n")
            self.epoch = 1
            return Progress(1, 2, 0.5, ended=False)
        return super().step()

    def hang(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)


class InCCode(Stopped):
    """Hangs in C, with the interpreter's lock held: no Python code runs any more, nor any handler of a signal."""

    def hang(self) -> None:
        ctypes.PyDLL(None).sleep(600)


class OnFullDisk(Stopped):
    """Meets a full disk instead."""

    def hang(self) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.spec.folder / "last.pt"))
        except OSError as error:
            raise RuntimeError("cannot write the archive") from error  # as torch answers
