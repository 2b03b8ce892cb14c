"""The tables that come with a dataset, as rows of text; what is wrong with one is told with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.errors import Problem, UserError, nearest

_MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Row:
    """One row. cells: column -> text without spaces around it. source: ``file:line``. where: the setting it is of."""

    cells: Mapping[str, str]
    source: str
    where: str

    def __getitem__(self, column: str) -> str:
        """The cell of a column; '' where there is none."""
        return self.cells.get(column, "")

    def problem(self, message: str, value: object = None, choices: Sequence[str] = ()) -> Problem:
        """Something that is wrong in this row."""
        meant = nearest(str(value), choices) if choices else ""
        return Problem(self.where, message, self.source, value, meant, tuple(choices))


@dataclass(frozen=True)
class Table:
    """The rows of a table, and the names of its columns."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def read_table(path: Path, required: Sequence[str], delimiter: str = ",", where: str = "dataset.root") -> Table:
    """A CSV in UTF-8 with a row of column names.

    where: the setting that named the file. Raises UserError if it cannot be read, has not the `required` columns, or
    has two of one name.
    """
    try:
        text = _bytes(path).decode("utf-8-sig")  # spreadsheets write a byte order mark
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = tuple(name.strip() for name in next(reader, ()))
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(Problem(where, f"the table cannot be read: {reason}", value=str(path))) from error
    missing = [name for name in required if name not in header]
    if missing:
        message = f"the table must have the columns {', '.join(required)}; missing: {', '.join(missing)}"
        raise UserError(Problem(where, message, str(path)))
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise UserError(Problem(where, f"two columns of one name: {', '.join(twice)}", str(path)))
    return Table(path, header, tuple(_row(f"{path}:{line}", header, cells, where) for line, cells in lines))


def _row(source: str, header: Sequence[str], cells: Sequence[str], where: str) -> Row:
    # A row may be shorter than the header, or end in an empty cell too many; neither is worth a refusal.
    return Row(dict(zip(header, (cell.strip() for cell in cells), strict=False)), source, where)


def _bytes(path: Path) -> bytes:
    """The content of a file. Raises OSError also for a device, which may never end, and for what is too large."""
    if path.exists() and not path.is_file():
        raise OSError("not a file")
    if path.stat().st_size > _MOST_BYTES:
        raise OSError(f"larger than {_MOST_BYTES // 1024**2} MB")
    return path.read_bytes()
