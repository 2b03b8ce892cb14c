"""One CSV made of the same CSV of many runs, cheap to extend by one more run.

Rewriting a table of 10,000 runs from 10,000 files after each of them would cost more than the runs.
What is in the file already is copied from it in blocks; only new runs are read and converted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from utils.files import write_atomically

_BLOCK = 1 << 20


class Source(NamedTuple):
    """A run's table. content: a hash of it, by which a run that was done again is noticed."""

    configuration: str
    fold: int
    content: str
    path: Path


class Concatenation:
    """The file `path`: ``configuration, fold`` and the columns of the runs' own tables.

    Runs with different columns share the union of them, in order of first appearance.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._headers: dict[Source, tuple[str, ...]] = {}
        self._places: dict[Source, tuple[int, int]] = {}
        self._columns: tuple[str, ...] = ()
        self._written: tuple[int, int, int] | None = None

    def write(self, sources: Sequence[Source]) -> None:
        """Makes the file hold the runs in this order, atomically; does nothing if it does already."""
        for source in sources:
            if source not in self._headers:
                with source.path.open(newline="", encoding="utf-8") as file:
                    self._headers[source] = tuple(next(csv.reader(file), ()))
        columns = tuple(dict.fromkeys(name for source in sources for name in self._headers[source]))
        intact = self._written is not None and self._written == _signature(self.path)
        if not intact or columns != self._columns:
            self._places = {}
        elif list(self._places) == list(sources):
            return
        self._columns = columns
        write_atomically(self.path, lambda file: self._fill(file, sources))
        self._written = _signature(self.path)

    def _fill(self, file: BinaryIO, sources: Sequence[Source]) -> None:
        places: dict[Source, tuple[int, int]] = {}
        old = self.path.open("rb") if self._places else None
        try:
            position = file.write(_line(("configuration", "fold", *self._columns)))
            pending: tuple[int, int] | None = None  # neighbouring runs of the old file, copied at one go
            for source in sources:
                place = self._places.get(source)
                if place is not None:
                    length = place[1]
                    if pending and sum(pending) == place[0]:
                        pending = (pending[0], pending[1] + length)
                    else:
                        _copy(old, file, pending)
                        pending = place
                else:
                    _copy(old, file, pending)
                    pending = None
                    length = file.write(self._converted(source))
                places[source] = (position, length)
                position += length
            _copy(old, file, pending)
        finally:
            if old is not None:
                old.close()
        self._places = places

    def _converted(self, source: Source) -> bytes:
        """A run's rows with its configuration and fold in front, in the file's columns."""
        content = source.path.read_bytes()
        if self._headers[source] == self._columns and b'"' not in content and b"\r" not in content:
            prefix = f"{source.configuration},{source.fold},".encode()
            rows = content.partition(b"\n")[2].rstrip(b"\n")
            return prefix + rows.replace(b"\n", b"\n" + prefix) + b"\n" if rows else b""
        table = csv.DictReader(io.StringIO(content.decode(), newline=""))
        lines = (
            _line((source.configuration, str(source.fold), *(row.get(name) or "" for name in self._columns)))
            for row in table
        )
        return b"".join(lines)


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _copy(old: BinaryIO | None, new: BinaryIO, place: tuple[int, int] | None) -> None:
    if old is None or place is None:
        return
    start, left = place
    old.seek(start)
    while left:
        block = old.read(min(_BLOCK, left))
        if not block:
            raise OSError("a results table was cut short while it was being read")
        left -= new.write(block)


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What changes when anybody else touches the file; None if it is not there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
