"""A small disk to fill: a tmpfs that is mounted for the time of the disturbance."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SIZE = 2 * 2**30
"""Bytes; they take memory only as they are used."""

_INSIDE = "CHAOS_NAMESPACE"


class Disk:
    """A folder on a disk of its own, if one could be had: `own` says whether it is."""

    def __init__(self, folder: Path, own: bool) -> None:
        self.folder, self.own = folder, own
        self._filler = folder / "filler"

    def fill(self, left: int) -> None:
        """Leaves so many bytes. Only for a disk of its own."""
        assert self.own, "this would fill the disk of the machine"
        size = shutil.disk_usage(self.folder).free - left
        with self._filler.open("wb") as file, contextlib.suppress(OSError):  # others write at the same time
            os.posix_fallocate(file.fileno(), 0, max(1, size))

    def clear(self) -> None:
        """Takes back what `fill` has written."""
        self._filler.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk mounted at a folder; where that is not allowed, the folder as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    own = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield Disk(folder, own)
    finally:
        if own:
            # Lazily: a process that has just been killed may hold a file for a moment yet.
            subprocess.run(["umount", "-l", str(folder)], check=True)


def enter_namespace() -> None:
    """Starts this program anew where it may mount, unless it may already or the kernel lets nobody."""
    if os.geteuid() == 0 or _INSIDE in os.environ or shutil.which("unshare") is None:
        return
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode == 0:
        command = [*inside, sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
        os.execvpe("unshare", command, {**os.environ, _INSIDE: "1"})
