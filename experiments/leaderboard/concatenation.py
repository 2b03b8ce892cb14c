"""One CSV made of the same CSV of many runs, cheap to extend by one more run.

Rewriting a table of 10,000 runs from 10,000 files after each of them would cost more than the runs.
What is in the file already is copied from it in blocks; only new runs are read and converted. To copy
200 MB after each run would still wear a disk, so a long table may lag a little behind the others.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from experiments.ledger.record import Record
from utils.files import write_atomically

_LONG = 16 << 20
"""Bytes from which on a table may lag."""

_LAG = 16
"""A lagging table lacks at most one run in so many. In all, a sweep then writes about so many times what it has."""


class Source(NamedTuple):
    """A run's table. content: a hash of it, by which a run that was done again is noticed."""

    configuration: str
    fold: int
    content: str
    path: str

    @classmethod
    def of(cls, record: Record, name: str, folder: Path) -> Source:
        """The table `name` in a run's folder."""
        content = record.files[name].sha256 if name in record.files else record.finished
        return cls(record.configuration, record.fold, content, os.path.join(folder, name))  # noqa: PTH118 - 20,000 Path


class Concatenation:
    """The file `path`: ``configuration, fold`` and the columns of the runs' own tables.

    Runs with different columns share the union of them, in order of first appearance.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._headers: dict[Source, tuple[str, ...]] = {}
        self._known_headers: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._places: dict[Source, tuple[int, int]] = {}
        self._columns: tuple[str, ...] = ()
        self._written: tuple[int, int, int] | None = None

    def write(self, sources: Sequence[Source], whole: bool = True) -> None:
        """Makes the file hold the runs in this order, atomically; does nothing if it does already.

        whole: if false, a long file that only lacks a few of the runs stays as it is until it lacks more, or until
        it is written whole.
        """
        intact = self._written is not None and self._written == _signature(self.path)
        if intact and (list(self._places) == list(sources) or (not whole and self._lags_little(sources))):
            return
        columns = self._common_columns(sources)
        if not intact or columns != self._columns:
            self._places = {}
        self._columns = columns
        write_atomically(self.path, lambda file: self._fill(file, sources))
        self._written = _signature(self.path)

    def _lags_little(self, sources: Sequence[Source]) -> bool:
        """Whether the file is long, lacks less than one run in `_LAG`, and has none that it should not have."""
        lacking = len(sources) - len(self._places)
        return (
            self._written is not None
            and self._written[1] >= _LONG
            and lacking * _LAG < len(sources)
            and sum(source not in self._places for source in sources) == lacking
        )

    def _common_columns(self, sources: Sequence[Source]) -> tuple[str, ...]:
        for source in sources:
            if source not in self._headers:
                with Path(source.path).open(newline="", encoding="utf-8") as file:
                    header = tuple(next(csv.reader(file), ()))
                # Thousands of runs have one header between them.
                self._headers[source] = self._known_headers.setdefault(header, header)
        headers = dict.fromkeys(self._headers[source] for source in sources)
        return tuple(dict.fromkeys(name for header in headers for name in header))

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
        content = Path(source.path).read_bytes()
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


_BLOCK = 1 << 20


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
