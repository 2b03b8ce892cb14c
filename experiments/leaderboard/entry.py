"""What a leaderboard has rows for, and how values are written into its cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from utils.identity import canonical_json


@dataclass(frozen=True)
class Entry:
    """A configuration as the leaderboard sees it.

    varied: the settings that vary over the sweep (dotted key -> JSON-like value), one column each;
    a sweep of named cases adds their name as a column by an item such as ``"name": "no_attention"``.
    folds: the folds that it takes to be complete.
    """

    id: str
    name: str
    varied: Mapping[str, Any] = field(default_factory=dict)
    folds: tuple[int, ...] = (0, 1, 2)


class Standing(NamedTuple):
    """One line of the top of the table, as text. rank is '' while folds are missing."""

    rank: str
    configuration: str
    name: str
    folds: str
    score: str
    tied: bool


def cell(value: Any) -> str:
    """A value as a CSV cell: text as it is, floats to six digits, NaN and None empty, the rest as JSON."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return "" if math.isnan(value) else format(value, ".6g")
        case int():
            return str(value)
        case _:
            return canonical_json(value)


def setting_cell(value: Any) -> str:
    """A setting as a CSV cell: exact, since it may be copied back into a sweep file. None is ``null``."""
    if value is None:
        return "null"
    return repr(value) if isinstance(value, float) else cell(value)
