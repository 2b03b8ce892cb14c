"""The SQLite file behind a study: opened, checked, and set aside where it is damaged."""

from __future__ import annotations

import sqlite3
import time
import warnings
from contextlib import closing, suppress
from pathlib import Path

from optuna.storages import RDBStorage


def open_database(path: Path) -> RDBStorage:
    """The storage in the file, made if it is not there; a file that cannot be used is set aside with a warning.

    Raises sqlite3.Error, SQLAlchemyError or OSError where it can be neither read nor made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if damage := _damage(path):
        _set_aside(path, damage)
    try:
        return _sqlite(path)
    except RuntimeError as error:  # of a newer or older Optuna, which keeps its tables differently
        _set_aside(path, str(error))
        return _sqlite(path)


def inode(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one at the same place; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _sqlite(path: Path) -> RDBStorage:
    """The storage in an SQLite file, set up for a mirror."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
        # Waiting for the disk at every statement is for data that cannot be made again.
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    return RDBStorage(f"sqlite:///{path}", engine_kwargs={"creator": connect})


def _damage(path: Path) -> str:
    """What is wrong with an SQLite file; '' if nothing is, or if it is not there."""
    if not path.exists():
        return ""
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            return "" if verdict == "ok" else str(verdict)
    except sqlite3.OperationalError:
        raise  # locked or unreadable, which is not damaged
    except sqlite3.DatabaseError as error:
        return str(error)


def _set_aside(path: Path, why: str) -> None:
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("", "-journal", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    warnings.warn(f"{path} cannot be used ({why}); moved to {aside.name}, the study is rebuilt", stacklevel=2)
