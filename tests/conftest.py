"""For the end-to-end tests: a folder with a tiny sweep, and the command as a process that never outlives its test."""

from __future__ import annotations

import contextlib
import gc
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

PROJECT = Path(__file__).resolve().parents[1]

# Two tests run at a time, each on one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_WITH_PROCESSES = ("agenda", "cascade", "scheduling", "storage")

# The two cheapest encoders on the smallest images: what is tested is the sweep, not the networks.
TINY = """\
name: tiny
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
folds: {k: 3}
model: {encoder_weights: none}
training: {epochs: 3, batch_size: 8}
resources: {cpus: 1, gpus: 0}
search: {grid: {model.encoder: [shufflenet_v2_x0_5, tu-mobilenetv3_small_050]}}
"""

# Makes the terminal on stdin the controlling one, so that Ctrl-C reaches all processes in it, and becomes the command.
_IN_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests that start Ray come first: they take longest, and what comes last is waited for by one core."""
    items.sort(key=lambda item: not (_starts_ray(item.path.parent) and item.get_closest_marker("slow")))


def pytest_collection_finish() -> None:
    """What was imported stays: no search for garbage looks through it again."""
    gc.freeze()
    gc.set_threshold(10_000)


def pytest_runtest_setup() -> None:
    """A test's random numbers are the same whichever tests ran before it, and in whichever process."""
    torch.manual_seed(0)


def _starts_ray(folder: Path) -> bool:
    return folder.name in _WITH_PROCESSES or folder in (PROJECT / "tests", PROJECT / "tests" / "experiments")


class Command:
    """``python run_sweep.py ...`` as a process; what it prints, on either stream, is collected.

    terminal: whether it runs in a terminal of 120 columns, as the foreground process.
    """

    def __init__(self, arguments: list[str], folder: Path, terminal: bool = False) -> None:
        self._printed = bytearray()
        self._family: dict[int, psutil.Process] = {}
        ours, theirs = pty.openpty() if terminal else os.pipe()
        self._ours = ours
        self.process = subprocess.Popen(
            [sys.executable, *(("-c", _IN_TERMINAL) if terminal else ()), str(PROJECT / "run_sweep.py"), *arguments],
            cwd=folder,
            stdin=theirs if terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=terminal,
            # One thread a process: the machine is shared. A width, for output without a terminal has none.
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120", "TERM": "xterm"},
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # what a terminal says when its last process has left
            while block := os.read(self._ours, 65536):
                self._printed += block

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return bytes(self._printed).decode("utf-8", errors="replace").replace("\r\n", "\n")

    @property
    def screen(self) -> str:
        """What it has printed, without what moves the cursor and changes colours."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output)

    def type(self, text: str) -> None:
        """Types into its terminal."""
        os.write(self._ours, text.encode())

    def wait(self, seconds: float = 300) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired when it does not end in time."""
        code = self.process.wait(seconds)
        # Not for ever: a child that has been left behind may hold the stream open.
        self._reader.join(5)
        return code

    def until(self, condition: Callable[[], object], what: str, seconds: float = 300) -> None:
        """Waits until something is so; fails if the command ends first or the seconds run out."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"ended before {what}:\n{self.output}"
            assert time.monotonic() < end, f"no {what} within {seconds} s:\n{self.output}"
            self.family()
            time.sleep(0.02)

    def family(self) -> list[psutil.Process]:
        """Every process that it is known to have started, directly or not, dead ones included."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                self._family.setdefault(process.pid, process)
        return list(self._family.values())

    def workers(self) -> list[psutil.Process]:
        """Its living processes that train; Ray names the process of an actor after its class."""
        return [process for process in self.family() if _title(process).startswith("ray::ResourceTrainable")]

    def titles(self) -> list[str]:
        """The command lines of its processes."""
        return [_title(process) for process in self.family()]

    def stop(self, number: signal.Signals) -> float:
        """Sends it a signal; the seconds until it has ended."""
        self.family()
        started = time.monotonic()
        self.process.send_signal(number)
        self.wait(60)
        return time.monotonic() - started

    def survivors(self, seconds: float) -> list[str]:
        """The titles of those of its family that still live when so many seconds have passed."""
        _, alive = psutil.wait_procs(self.family(), timeout=seconds)
        return [f"{process.pid} {_title(process)}" for process in alive]

    def close(self) -> None:
        """Ends it with everything that it started."""
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        os.close(self._ours)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


class Workspace:
    """A folder with a sweep file and its results; commands are run in it."""

    def __init__(self, folder: Path, sweep: str = TINY) -> None:
        self.folder, self.results = folder, folder / "results"
        self.file = folder / "sweep.yaml"
        self.file.write_text(sweep, encoding="utf-8")
        self._commands: list[Command] = []

    def start(self, *arguments: str, terminal: bool = False) -> Command:
        """Starts the sweep's command."""
        command = Command([str(self.file), "--results", str(self.results), *arguments], self.folder, terminal)
        self._commands.append(command)
        return command

    def run(self, *arguments: str, code: int = 0) -> str:
        """Runs the sweep's command to its end, which must have this exit code; returns what it printed."""
        command = self.start(*arguments)
        ended = command.wait()
        assert ended == code, command.output
        return command.output

    def close(self) -> None:
        """Ends all commands."""
        for command in self._commands:
            command.close()

    def copy(self, folder: Path) -> Workspace:
        """The same sweep with a copy of its results, times of files included."""
        other = Workspace(folder, self.file.read_text(encoding="utf-8"))
        shutil.copytree(self.results, other.results)
        return other

    def runs(self, file: str) -> dict[str, Path]:
        """``<configuration>/fold-<i>`` -> a file in the folder of the run, where there is one."""
        paths = sorted(self.results.glob(f"runs/*/*/fold-*/{file}"))
        return {f"{path.parent.parent.name}/{path.parent.name}": path for path in paths}

    def records(self) -> dict[str, tuple[int, int, bytes]]:
        """Run -> inode, time and content of its record: what changes if the record is written again."""
        found = {}
        for run, path in self.runs("record.json").items():
            state = path.stat()
            found[run] = state.st_ino, state.st_mtime_ns, path.read_bytes()
        return found

    def attempts(self) -> dict[str, int]:
        """Run -> how often its training was begun."""
        return {run: len(path.read_text().splitlines()) - 1 for run, path in self.runs("attempts.csv").items()}

    def tables(self) -> dict[str, str]:
        """Name -> text of every CSV beside the ledger."""
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(self.results.glob("*.csv"))}


@pytest.fixture(scope="session")
def workspace_in() -> Iterator[Callable[..., Workspace]]:
    """Makes a workspace in a folder, from the text of its sweep file."""
    made: list[Workspace] = []

    def make(folder: Path, sweep: str = TINY) -> Workspace:
        made.append(Workspace(folder, sweep))
        return made[-1]

    yield make
    for workspace in made:
        workspace.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A folder with a tiny sweep: two encoders on three folds."""
    made = Workspace(tmp_path)
    yield made
    made.close()
