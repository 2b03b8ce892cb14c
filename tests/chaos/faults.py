"""The faults: each does its harm once, and says to what; None if there is nothing to do it to at the moment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.arena import TIMEOUT, Arena, Violation


@dataclass(frozen=True)
class Fault:
    """online: it is done to a sweep that is training; else to one whose driver has been killed just before."""

    name: str
    harm: Callable[[Arena], str | None]
    online: bool = True
    weight: int = 1


def _kill(title: str) -> Callable[[Arena], str | None]:
    """``kill -9`` of one of the command's processes whose command line has this in it."""

    def harm(arena: Arena) -> str | None:
        found = arena.processes(title)
        if not found:
            return None
        victim = arena.chance.choice(sorted(found, key=lambda process: process.pid))
        victim.kill()
        return f"process {victim.pid}"

    return harm


def _hang(arena: Arena) -> str | None:
    """A worker that neither goes on nor dies, and hears no signal but SIGKILL."""
    workers = arena.workers()
    if not workers:
        return None
    victim = arena.chance.choice(sorted(workers, key=lambda process: process.pid))
    victim.suspend()
    arena.pause(TIMEOUT / 5)
    return f"process {victim.pid} stopped, runs may take {TIMEOUT} s for an epoch"


def _end_driver(number: signal.Signals) -> Callable[[Arena], str | None]:
    def harm(arena: Arena) -> str | None:
        assert arena.command is not None
        pid = arena.command.process.pid
        seconds = arena.end(number)
        code = arena.exit_code()
        if number == signal.SIGTERM and code == 128 + number and seconds > 10:
            raise Violation(f"SIGTERM took {seconds:.1f} s")
        return f"driver {pid}, gone with {code} after {seconds:.1f} s"

    return harm


def _second_driver(arena: Arena) -> str | None:
    assert arena.command is not None
    first = arena.command.process.pid
    second = arena.workspace.start()
    code = second.wait()
    if not arena.running:
        return f"process {second.process.pid}, exit code {code}, when the first had just ended"
    if code != 2 or f"process {first} on " not in " ".join(second.output.split()):
        raise Violation(f"a second driver was not refused by name but ended with {code}:\n{second.output}")
    return f"process {second.process.pid}, refused with exit code 2"


def _fill_disk(arena: Arena) -> str | None:
    if not arena.disk.own:
        return None
    left = arena.chance.choice([0, 4096, 2**20, 20 * 2**20])
    arena.disk.fill(left)
    seconds = arena.chance.uniform(4, 9)
    try:
        arena.pause(seconds)
    finally:
        arena.disk.clear()
    return f"{left:,} bytes left for {seconds:.0f} s"


def _truncate(path: Path, arena: Arena) -> str:
    size = path.stat().st_size
    kept = arena.chance.randrange(size) if size else 0
    os.truncate(path, kept)
    return f"{kept:,} of {size:,} bytes left"


def _flip(path: Path, arena: Arena) -> str:
    size = path.stat().st_size
    if not size:
        return _truncate(path, arena)
    place, bit = arena.chance.randrange(size), arena.chance.randrange(8)
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))
    return f"bit {bit} of byte {place:,}"


def _delete(path: Path, arena: Arena) -> str:
    path.unlink()
    return "deleted"


Harm = Callable[[Path, Arena], str]


def _of_run(name: str, harm: Harm, finished: bool) -> Callable[[Arena], str | None]:
    """Damages a file of a run; finished: of one that has its record, else of one that has not."""

    def act(arena: Arena) -> str | None:
        done = arena.records()
        runs = {run: path for run, path in arena.workspace.runs(name).items() if (run in done) == finished}
        runs = {run: path for run, path in runs.items() if run not in arena.damaged or not finished}
        if not runs:
            return None
        run = arena.chance.choice(sorted(runs))
        with arena.damaging(run):
            try:
                what = harm(runs[run], arena)
            except FileNotFoundError:
                return None  # a finished run has just tidied it away
        return f"{run}/{name}: {what}"

    return act


def _of_results(pattern: str, harm: Harm) -> Callable[[Arena], str | None]:
    """Damages a file below the results folder that belongs to no run."""

    def act(arena: Arena) -> str | None:
        found = sorted(path for path in arena.results.glob(pattern) if path.is_file())
        if not found:
            return None
        path = arena.chance.choice(found)
        try:
            return f"{path.relative_to(arena.results)}: {harm(path, arena)}"
        except FileNotFoundError:
            return None

    return act


def _leave_part(arena: Arena) -> str | None:
    """What a writer leaves that is killed before its rename."""
    folders = sorted(arena.results.glob("runs/chaos/*/fold-*"))
    if not folders:
        return None
    path = arena.chance.choice(folders) / f".last.pt.{time.time_ns() % 1000:03d}.part"
    path.write_bytes(arena.chance.randbytes(1000))
    return str(path.relative_to(arena.results))


FAULTS: Sequence[Fault] = (
    Fault("kill -9 worker", _kill("ray::ResourceTrainable"), weight=4),
    Fault("kill -9 raylet", _kill("/raylet/raylet "), weight=2),
    Fault("kill -9 gcs_server", _kill("/gcs/gcs_server ")),
    Fault("kill -9 Ray's head", _kill("experiments.scheduling.head")),
    Fault("kill -9 driver", _end_driver(signal.SIGKILL), weight=2),
    Fault("SIGTERM driver", _end_driver(signal.SIGTERM)),
    Fault("SIGINT driver", _end_driver(signal.SIGINT)),
    Fault("SIGSTOP worker", _hang),
    Fault("second driver", _second_driver),
    Fault("full disk", _fill_disk, weight=2),
    Fault("truncated last.pt", _of_run("last.pt", _truncate, finished=False), online=False),
    Fault("flipped last.pt", _of_run("last.pt", _flip, finished=False), online=False, weight=2),
    Fault("truncated best.pt of a begun run", _of_run("best.pt", _truncate, finished=False), online=False),
    Fault("flipped best.pt of a begun run", _of_run("best.pt", _flip, finished=False)),
    Fault("truncated epochs.csv of a begun run", _of_run("epochs.csv", _truncate, finished=False)),
    Fault("truncated record.json", _of_run("record.json", _truncate, finished=True)),
    Fault("flipped record.json", _of_run("record.json", _flip, finished=True)),
    Fault("truncated cases.csv", _of_run("cases.csv", _truncate, finished=True)),
    Fault("flipped cases.csv", _of_run("cases.csv", _flip, finished=True)),
    Fault("flipped epochs.csv", _of_run("epochs.csv", _flip, finished=True)),
    Fault("truncated best.pt", _of_run("best.pt", _truncate, finished=True)),
    Fault("deleted best.pt", _of_run("best.pt", _delete, finished=True)),
    Fault("truncated table", _of_results("*.csv", _truncate)),
    Fault("deleted table", _of_results("*.csv", _delete)),
    Fault("a killed writer's part", _leave_part),
    Fault("flipped optuna.db", _of_results("optuna.db", _flip)),
    Fault("truncated optuna.db", _of_results("optuna.db", _truncate), online=False),
    Fault("deleted optuna.db", _of_results("optuna.db", _delete), online=False),
    Fault("flipped cache", _of_results("cache/????????????????/*", _flip), online=False),
    Fault("truncated cache", _of_results("cache/????????????????/*", _truncate), online=False),
    Fault("flipped split", _of_results("runs/chaos/splits/*.csv", _flip), online=False),
    Fault("truncated split", _of_results("runs/chaos/splits/*.csv", _truncate), online=False),
    Fault("flipped outcome.json", _of_results("runs/chaos/outcome.json", _flip), online=False),
    Fault("truncated outcome.json", _of_results("runs/chaos/outcome.json", _truncate), online=False),
)
"""Every kind, in the order in which a first round of them is shuffled."""
