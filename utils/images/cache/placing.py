"""How a cache comes to its place: whole, by one rename, whoever else is building it."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.images.cache.manifest import fault_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DAY = 24 * 3600


@contextmanager
def temporary_folder(place: Path) -> Iterator[Path]:
    """A new folder beside `place` to build in; it is deleted at the end unless it has been renamed.

    While it is in use it is locked. The system frees the lock of a process that dies, however it dies,
    which tells `remove_abandoned` what nobody builds in any more.
    """
    while True:
        folder = place.with_name(f".{place.name}+{secrets.token_hex(4)}.part")
        folder.mkdir()
        with _locked(folder, wait=True):
            # Before it was locked another process may have taken it for abandoned.
            if not folder.exists():
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


def install(temporary: Path, place: Path) -> None:
    """Renames a finished cache to its place, unless a sound one has appeared there meanwhile.

    A damaged one is moved away only now, when there is something to put in its place.
    """
    while True:
        try:
            temporary.rename(place)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if not fault_of(place):
            return
        aside = place.with_name(f"{place.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        # Another process may be doing the same.
        with suppress(FileNotFoundError):
            place.rename(aside)


def remove_abandoned(folder: Path) -> None:
    """Deletes what killed builders have left: at once, or after a day where folders cannot be locked."""
    for entry in folder.glob(".*.part"):
        with _locked(entry, wait=False) as held:
            if held or (held is None and _age(entry) > _DAY):
                shutil.rmtree(entry, ignore_errors=True)


def _age(entry: Path) -> float:
    """Seconds since something in the folder was made; 0 if it has gone, by its builder's rename for instance."""
    try:
        return time.time() - entry.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextmanager
def _locked(folder: Path, wait: bool) -> Iterator[bool | None]:
    """Whether the folder is there and locked for us now; None where NFS or Windows knows no such lock."""
    if fcntl is None:
        yield None
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        descriptor = None
    if descriptor is None:
        yield False
        return
    try:
        held: bool | None = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            held = False
        except OSError:
            held = None
        yield held
    finally:
        os.close(descriptor)
