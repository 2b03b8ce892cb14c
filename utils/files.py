"""Files that are whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from utils.faults import chain


def write_atomically(path: Path, write: Callable[[BinaryIO], object], durable: bool = False) -> None:
    """Calls `write` with a temporary file in the folder of `path`, then renames it to `path`.

    A reader sees the old content or the new, never a part; a process killed in between leaves at
    most a file ending in ``.part``. `durable` also survives a power cut (fsync of file and folder).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        # mkstemp makes files for the owner alone; results are for the whole group.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def write_text_atomically(path: Path, text: str, durable: bool = False) -> None:
    """`write_atomically` for UTF-8 text with the newlines as given."""
    write_atomically(path, lambda file: file.write(text.encode()), durable)


def disk_full(error: BaseException) -> bool:
    """Whether `error` came of a disk without room, or of a spent quota, whatever a library has made of it.

    Torch answers a failed write with an exception of its own.
    """
    return any(isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in chain(error))


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the disk of a folder, which must exist; a quota is not seen here."""
    return shutil.disk_usage(folder).free


def _umask() -> int:
    # The only portable way to read the umask is to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
