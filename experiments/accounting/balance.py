"""The balance of a sweep: slot time there was, what runs account for, and the rest, which is idle."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.accounting.sessions import Session, read_sessions
from experiments.estimates import seconds_of
from experiments.ledger import Record
from experiments.ledger.record import RECORD_FILE
from experiments.opened import OpenedSweep
from experiments.training.history.clock import PHASES

IDLE = "idle"

LABELS: dict[str, str] = {phase: phase.replace("_", "-") for phase in (*PHASES, IDLE)}
"""Phase -> what people call it, in the order of telling."""

Run = tuple[str, int]


@dataclass(frozen=True)
class Balance:
    """Where the slot time of a sweep went, over all its sessions.

    slots: of each session. seconds: phase or `IDLE` -> slot-seconds. saved: slot-seconds that racing has saved, an
    estimate. joules: as in `Session`, summed over those that were measured; None if none was.
    """

    slots: tuple[int, ...]
    seconds: Mapping[str, float]
    saved: float = 0.0
    joules: float | None = None

    @property
    def slot_seconds(self) -> float:
        """All of it."""
        return sum(self.seconds.values())

    def shares(self) -> dict[str, float]:
        """Phase or `IDLE` -> share of the slot time, in the order of `LABELS`; those of a share only."""
        whole = self.slot_seconds
        return {name: self.seconds[name] / whole for name in LABELS if self.seconds.get(name, 0.0) > 0}

    @property
    def efficiency(self) -> float:
        """The share of training and validation steps; NaN where there was no time."""
        whole = self.slot_seconds
        return (self.seconds.get("training", 0.0) + self.seconds.get("validation", 0.0)) / whole if whole else math.nan


def balance(sessions: Sequence[Session], spent: Iterable[Mapping[str, float]], saved: float = 0.0) -> Balance | None:
    """The balance of sessions and of what their runs have spent by phase; None where there is no session.

    Idle is what slots waited, but also what processes took to start, and what was lost with killed ones. Runs that
    outlived their driver may account for more than its session knows of: then nothing is idle.
    """
    if not sessions:
        return None
    runs = list(spent)
    seconds: dict[str, float] = {phase: math.fsum(run.get(phase, 0.0) for run in runs) for phase in PHASES}
    there = math.fsum(session.slots * session.seconds for session in sessions)
    measured = [session.joules for session in sessions if session.joules is not None]
    return Balance(
        tuple(session.slots for session in sessions),
        {**seconds, IDLE: max(0.0, there - math.fsum(seconds.values()))},
        saved,
        math.fsum(measured) if measured else None,
    )


def balance_of(opened: OpenedSweep) -> Balance | None:
    """The balance of a sweep as it stands; None if no session was noted, or nothing ran in those that were.

    Every record in its folder of the ledger counts, those of failures that were repeated and of configurations that
    it has no more included: its slots had them to run.
    """
    board = opened.leaderboard
    folds = {entry.id: len(entry.folds) for entry in board.entries if entry.id in board.raced_out}
    sessions = read_sessions(opened.ledger.root)
    found = balance(sessions, spent_in(opened.ledger.root), saved_by_racing(folds, opened.records))
    return found if found is not None and found.slot_seconds > 0 else None


def saved_by_racing(stopped: Mapping[str, int], records: Mapping[Run, Record]) -> float:
    """Slot-seconds that runs of stopped configurations would have taken, by the mean of their complete ones.

    stopped: id -> number of folds. A configuration that was stopped before any of its runs was complete counts
    nothing: nobody knows what the others would have taken.
    """
    total = 0.0
    for configuration, folds in stopped.items():
        ended = [records[configuration, fold] for fold in range(folds) if (configuration, fold) in records]
        took = [seconds_of(record) for record in ended if record.status == "complete"]
        if took:
            total += (folds - len(ended)) * math.fsum(took) / len(took)
    return total


def spent_in(root: Path) -> Iterable[Mapping[str, float]]:
    """What every record below a sweep's folder says; a damaged one, or one older than the account, says nothing."""
    for path in sorted(root.glob(f"*/fold-*/**/{RECORD_FILE}")):
        try:
            spent = json.loads(path.read_text(encoding="utf-8")).get("spent")
        except (OSError, ValueError, AttributeError):
            continue  # the ledger has warned of it, and the run is repeated
        if isinstance(spent, dict):
            yield spent
