"""One row of the leaderboard: a configuration with all that is known of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from experiments.leaderboard.entry import Entry
from experiments.leaderboard.summary import Summary
from experiments.ledger.record import Record

Status = Literal["complete", "raced_out", "failed", "running", "pending"]
STATUSES: tuple[Status, ...] = ("complete", "raced_out", "failed", "running", "pending")

NAN = float("nan")


@dataclass
class Line:
    """What is known of one entry; made anew only when one of its records has changed.

    From `rank` on, all is relative to the other lines. difference, effect: of the objective, this line less the best;
    see `Contest`. The best itself has no p-values, difference or effect (NaN), nor has a line without a rank.
    """

    entry: Entry
    position: int
    records: tuple[Record | None, ...] = ()
    status: Status = "pending"
    summary: Summary | None = None
    rank: int | None = None
    p_vs_best: float = NAN
    tied: bool = False
    difference: float = NAN
    effect: float = NAN
    p_folds: float = NAN
    probability_best: float = NAN

    @property
    def finished(self) -> list[Record]:
        """The records of folds that completed, in order of fold."""
        return [record for record in self.records if record is not None and record.status == "complete"]

    def unrank(self) -> None:
        """Forgets what is relative to other lines."""
        self.rank, self.tied = None, False
        self.p_vs_best = self.difference = self.effect = self.p_folds = self.probability_best = NAN


def status_of(line: Line, under_way: bool, raced_out: bool) -> Status:
    """One failed fold fails the configuration, whatever else is still going on."""
    if any(record is not None and record.status == "failed" for record in line.records):
        return "failed"
    if line.summary is not None:
        return "complete"
    if raced_out:
        return "raced_out"
    return "running" if under_way else "pending"


def run_status(line: Line, fold: int, running: Collection[tuple[str, int]]) -> Status:
    """The status of a fold that has no record."""
    if (line.entry.id, fold) in running:
        return "running"
    return "raced_out" if line.status == "raced_out" else "pending"
