"""How far a sweep has come, in one small file: whether its leaderboard may be built upon.

The rows of a leaderboard alone do not tell: a search that draws its configurations one after the other has rows for
those that it has drawn, and more to draw. Runs that failed have ended; a sweep is complete with them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from utils.files import write_text_atomically

OUTCOME_FILE = "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """What ``results/runs/<sweep>/outcome.json`` holds.

    complete: whether every run has its record. configurations, runs: how many the sweep is known to have.
    failed: runs among them that ended in an error. finished: when it was completed (ISO 8601), '' if it is not.
    """

    complete: bool
    configurations: int
    runs: int
    failed: int
    finished: str = ""


def read_outcome(folder: Path) -> Outcome | None:
    """The outcome in a sweep's folder of the ledger, None where there is none.

    One that cannot be read stands for a sweep that is not complete: its next command writes it anew.
    """
    try:
        return Outcome(**json.loads((folder / OUTCOME_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Outcome(False, 0, 0, 0)


def write_outcome(folder: Path, *, complete: bool, configurations: int, runs: int, failed: int) -> None:
    """Writes the outcome atomically. One that says the same already stays, with its time."""
    outcome = Outcome(complete, configurations, runs, failed)
    known = read_outcome(folder)
    if known is not None and Outcome(known.complete, known.configurations, known.runs, known.failed) == outcome:
        return
    finished = datetime.now(UTC).isoformat(timespec="seconds") if complete else ""
    content = {**asdict(outcome), "finished": finished}
    write_text_atomically(folder / OUTCOME_FILE, json.dumps(content) + "\n", durable=True)
