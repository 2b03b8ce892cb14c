"""A list of cases to leave out, kept beside the data so that others can leave out the same."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from utils.datasets.files.table import read_table
from utils.errors import Problem, UserError, nearest, shortened

WHERE = "dataset.options.curation"


def left_out(path: Path | str | None, ids: Collection[str]) -> frozenset[str]:
    """The ids in the column ``case`` of a CSV; none without a file.

    Raises UserError if it cannot be read, or names a case that is not among `ids`: a list for other data would
    otherwise leave out nothing, without a word.
    """
    if path is None:
        return frozenset()
    table = read_table(Path(path), ["case"], where=WHERE)
    problems: list[Problem] = []
    for row in table:
        if row["case"] not in ids:
            meant = nearest(row["case"], ids) if len(problems) < 20 else ""
            problems.append(row.problem("no such case", row["case"], (meant,) if meant else ()))
    if problems:
        raise UserError(shortened(problems))
    return frozenset(row["case"] for row in table)
