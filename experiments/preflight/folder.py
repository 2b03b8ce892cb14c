"""Whether the results folder takes what runs write, and is the same folder for every machine of a cluster."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.errors import Problem

PATIENCE = 10.0
"""Seconds in which a shared file system has to show a new file to other machines; NFS takes its time."""

_MOST_SHOWN = 300


@dataclass(frozen=True)
class FolderProbe:
    """What one machine finds at a path.

    sees: whether the mark of `marked` is there. refusal: why files cannot be written there, '' if they can.
    """

    host: str
    sees: bool
    refusal: str = ""


@contextlib.contextmanager
def marked(folder: Path) -> Iterator[str]:
    """A file in `folder`, made if it is not there, for others to look for; answers the token that they need."""
    token = f"{platform.node()}-{os.getpid()}-{time.time_ns():x}"
    folder.mkdir(parents=True, exist_ok=True)
    mark = _mark(folder, token)
    mark.write_text(token, encoding="utf-8")
    try:
        yield token
    finally:
        mark.unlink(missing_ok=True)


def probe_folder(path: str, token: str, patience: float = PATIENCE) -> FolderProbe:
    """Looks for the mark of this token in the folder at `path`, and tries to write there; makes no folder.

    patience: seconds to wait for the mark.
    """
    folder, until = Path(path), time.monotonic() + patience
    while not (sees := _shows(folder, token)) and time.monotonic() < until:
        time.sleep(0.2)
    return FolderProbe(platform.node(), sees, refusal(folder) if folder.is_dir() else "there is no such folder")


def check_folder(folder: Path) -> list[Problem]:
    """The problem of a results folder that cannot be written to from here, if there is one. Makes the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = refusal(folder)
    except (OSError, ValueError) as error:
        reason = _reason(error)
    return [_problem(folder, f"cannot be written to: {reason}")] if reason else []


def check_place(folder: Path) -> list[Problem]:
    """The problem of a path at which no results folder is and none can be, if there is one. Writes nothing."""
    try:
        os.lstat(folder / "runs")  # of something in a file the system says that this is no folder
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        return [_problem(folder, f"cannot be read: {_reason(error)}")]
    return []


def folder_problems(folder: Path, probes: Sequence[FolderProbe]) -> list[Problem]:
    """What is wrong with the results folder on the machines that have looked."""
    problems = []
    for probe in probes:
        if not probe.sees:
            message = f"{probe.host} does not see the driver's files there: it must be a folder that all machines share"
        elif probe.refusal:
            message = f"{probe.host} cannot write there: {probe.refusal}"
        else:
            continue
        problems.append(Problem("--results", message, value=str(folder)))
    return problems


def refusal(folder: Path) -> str:
    """Why a file cannot be made, renamed and deleted in a folder that is there; '' if it can."""
    name = f".probe-{platform.node()}-{os.getpid()}-{time.time_ns():x}"
    first, second = folder / f"{name}.part", folder / name
    try:
        first.write_bytes(b"probe")
        first.replace(second)
        second.unlink()
    except OSError as error:
        for path in (first, second):
            with contextlib.suppress(OSError):
                path.unlink()
        return error.strerror or str(error)
    return ""


def _problem(folder: Path, message: str) -> Problem:
    text = str(folder)
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
    return Problem("--results", f"{message}; mend that, or name another with --results", value=shown)


def _reason(error: OSError | ValueError) -> str:
    """ValueError: a NUL in the path."""
    if isinstance(error, FileExistsError):  # what mkdir says of a file in the place of the folder
        return os.strerror(errno.ENOTDIR)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _mark(folder: Path, token: str) -> Path:
    return folder / f".mark-{token}"


def _shows(folder: Path, token: str) -> bool:
    try:
        # Listed rather than asked for: a network file system remembers for a while that a name was not there.
        return _mark(folder, token) in list(folder.iterdir())
    except OSError:
        return False
