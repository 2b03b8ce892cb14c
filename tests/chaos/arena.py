"""The sweep that is disturbed: its commands, its processes, its files, and a guard over what it has finished."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.chaos.disk import Disk
from tests.conftest import Command, Workspace

# Images and networks as small as can be, epochs enough to be killed in.
SWEEP = """\
name: chaos
dataset: {{name: phantom, image_size: 32, options: {{cases: 30, height: 64, width: 64}}}}
folds: {{k: {folds}}}
model: {{encoder_weights: none}}
training: {{epochs: {epochs}, batch_size: 8}}
resources: {{cpus: 1, gpus: 0, slots: 2, retries: 100, timeout: {timeout}}}
search: {{grid: {{model.encoder: [shufflenet_v2_x0_5, tu-mobilenetv3_small_050], training.lr: {rates}}}}}
"""
TIMEOUT = 25
"""Seconds after which a run counts as hung: generous, for the start of a worker is in it."""


class Violation(Exception):
    """Something that must not happen, whatever is done to the sweep."""


class Arena:
    """One sweep in a folder, the command that runs it at the moment, and everything that it must keep.

    finished: the records that must stay as they are. damaged: runs that were damaged on purpose, with their records
    as they are since then; they alone may be recorded anew.
    """

    def __init__(self, disk: Disk, place: str, sweep: str, chance: random.Random) -> None:
        self.disk, self.chance = disk, chance
        folder = disk.folder / place
        folder.mkdir()
        self.workspace = Workspace(folder, sweep)
        self.command: Command | None = None
        self.damaged: dict[str, tuple[int, int, bytes] | None] = {}
        self.finished: dict[str, tuple[int, int, bytes]] = {}
        self.stopped = 0  # the signal that we have sent to the driver

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.workspace.results

    @property
    def running(self) -> bool:
        """Whether the command is alive."""
        return self.command is not None and self.command.process.poll() is None

    def start(self) -> Command:
        """Gives the command."""
        self.command = self.workspace.start("--no-report")
        self.stopped = 0
        return self.command

    def pause(self, seconds: float) -> None:
        """Lets time pass, under guard, for as long as the command lives."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.running:
            self.guard()
            time.sleep(0.1)

    def until_training(self, seconds: float = 180) -> bool:
        """Waits until a worker lives and an epoch is done; False if the command ends before. Raises Violation."""
        end = time.monotonic() + seconds
        while self.running:
            self.guard()
            if self.workers() and self.workspace.runs("last.pt"):
                return True
            if time.monotonic() > end:
                raise Violation(f"nothing trains after {seconds} s:\n{self.output()}")
            time.sleep(0.1)
        return False

    def records(self) -> dict[str, tuple[int, int, bytes]]:
        """Run -> inode, time and content of its record."""
        found = {}
        for run, path in self.workspace.runs("record.json").items():
            with contextlib.suppress(FileNotFoundError):  # set aside at this moment
                state = path.stat()
                found[run] = state.st_ino, state.st_mtime_ns, path.read_bytes()
        return found

    def guard(self) -> None:
        """Raises Violation if a finished run is gone or recorded anew without having been damaged."""
        if self.command is not None:
            self.command.family()
        now = self.records()
        for run, before in self.finished.items():
            if now.get(run) != before:
                raise Violation(f"the finished run {run} is {'recorded anew' if run in now else 'gone'}")
        for run, state in now.items():
            if self.damaged.get(run) != state:
                self.damaged.pop(run, None)
                self.finished[run] = state

    @contextlib.contextmanager
    def damaging(self, run: str) -> Iterator[None]:
        """For the time in which files of a run are damaged: it counts as finished again once it is recorded anew."""
        self.guard()
        self.finished.pop(run, None)
        yield
        self.damaged[run] = self.records().get(run)

    def processes(self, title: str) -> list[psutil.Process]:
        """The command's living processes with this in their command line."""
        return [each for each in self._family() if title in _title(each)]

    def workers(self) -> list[psutil.Process]:
        """The command's living processes that train."""
        return self.processes("ray::ResourceTrainable")

    def _family(self) -> list[psutil.Process]:
        return [] if self.command is None else [each for each in self.command.family() if each.is_running()]

    def end(self, number: signal.Signals) -> float:
        """Sends the driver a signal, and waits until it and all that it has started is gone; seconds until its exit."""
        assert self.command is not None
        self.stopped = number
        seconds = self.command.stop(number)
        self.command.survivors(60)
        self.guard()
        return seconds

    def exit_code(self) -> int:
        """How the command has ended, by itself or by us. Raises Violation for any other end than these."""
        assert self.command is not None
        code = self.command.wait()
        if code == 1 and "Failed to connect to GCS" in self.output():
            # Ray ends a driver that calls it at the moment in which its head dies; the next command goes on.
            return code
        expected = {0, -self.stopped, 128 + self.stopped} if self.stopped else {0}
        if code not in expected or "Traceback" in self.output():
            raise Violation(f"the command ended with {code}:\n{self.output()}")
        return code

    def output(self) -> str:
        """The end of what the command has printed."""
        return "" if self.command is None else self.command.output[-6000:]

    def close(self) -> None:
        """Ends every command and its processes."""
        self.workspace.close()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
