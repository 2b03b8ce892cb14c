"""The leaderboard as the report reads it: the rows of its CSV, with numbers where there are numbers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.leaderboard import Leaderboard
from utils.metrics import METRICS


@dataclass(frozen=True)
class ScoreRow:
    """One row of the leaderboard. name: the configuration's, for people. cells: column -> text as in the CSV."""

    name: str
    cells: Mapping[str, str]

    @property
    def id(self) -> str:
        """The configuration's id."""
        return self.cells["configuration"]

    @property
    def status(self) -> str:
        """``complete``, ``raced_out``, ``failed``, ``running`` or ``pending``."""
        return self.cells["status"]

    @property
    def ranked(self) -> bool:
        """Whether it is complete and has a value of the objective."""
        return bool(self.cells["rank"])

    @property
    def tied(self) -> bool:
        """Whether it is the best row or cannot be told apart from it."""
        return self.cells.get("tied_with_best") == "true"

    def number(self, column: str) -> float:
        """The number in a column; NaN where the cell is empty or the table has no such column."""
        text = self.cells.get(column, "")
        return float(text) if text else math.nan


@dataclass(frozen=True)
class Scoreboard:
    """All rows, the ranked ones first and by rank.

    objective, direction: what they are ranked by. varied: the columns of the settings that vary.
    """

    objective: str
    direction: Literal["max", "min"]
    varied: tuple[str, ...]
    rows: tuple[ScoreRow, ...]

    @property
    def ranked(self) -> tuple[ScoreRow, ...]:
        """The rows that have a rank."""
        return tuple(row for row in self.rows if row.ranked)

    @property
    def tied(self) -> tuple[ScoreRow, ...]:
        """The ranked rows that cannot be told apart from the first, which is not among them."""
        return tuple(row for row in self.ranked[1:] if row.tied)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that at least one row has a value of, the objective first, then in the CSV's order."""
        found = [name for name in METRICS if any(not math.isnan(row.number(f"{name}_mean")) for row in self.rows)]
        return tuple(sorted(found, key=lambda name: name != self.objective))


def scoreboard_of(leaderboard: Leaderboard) -> Scoreboard:
    """The rows of a leaderboard that has been filled."""
    names = {entry.id: entry.name for entry in leaderboard.entries}
    rows = tuple(
        ScoreRow(names[cells["configuration"]], cells) for cells in csv.DictReader(io.StringIO(leaderboard.as_csv()))
    )
    return Scoreboard(leaderboard.objective, leaderboard.direction, tuple(leaderboard.varied), rows)
