"""The winners of finished sweeps, read from their leaderboards and records.

The winner of a sweep is, among the rows of its leaderboard that are tied with the best, the one with the fewest
parameters: where the scores cannot tell configurations apart, the smallest network is the better choice.
"""

from __future__ import annotations

import csv
import math
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.ledger.outcome import OUTCOME_FILE, read_outcome
from experiments.ledger.record import RECORD_FILE, RecordError, read
from experiments.sweep.file.reader import read_file
from experiments.sweep.schema.keys import split
from experiments.sweep.schema.settings import Settings
from utils.errors import Problem, UserError

_UNFINISHED = ("pending", "running")
# What becomes a path below results/ or decides who wins is checked: a table can be edited, or come from elsewhere.
_SOUND = {"configuration": re.compile(r"[0-9a-f]{12}"), "rank": re.compile(r"[0-9]{0,6}")}


@dataclass(frozen=True)
class Winner:
    """The winner of a sweep.

    row: its row of the leaderboard, column -> cell. tied: how many rows are tied with the best, itself among them.
    settings: everything that it was trained with, as JSON-like nested values. table: the leaderboard.
    """

    sweep: str
    row: Mapping[str, str]
    tied: int
    settings: Mapping[str, Any]
    table: Path

    def value(self, key: str) -> Any:
        """The JSON-like value at a dotted key, in its default where the record is older than the setting.

        Raises KeyError for what this winner does not have, such as an option of another part.
        """
        try:
            return _at(self.settings, key)
        except KeyError:
            with suppress(ValidationError):  # a record of a part that is no more
                return _at(Settings.model_validate(self.settings).model_dump(mode="json", by_alias=True), key)
            raise

    def __str__(self) -> str:
        others = (
            f"{self.tied} tied, the one with the fewest parameters" if self.tied > 1 else "no other is tied with it"
        )
        return f"the winner of {self.sweep} ({self.table}; {others})"


class Winners:
    """The winners of the sweeps in a results folder; each is looked up once.

    folder: where sweep files are looked for, to say which command runs a sweep. demo: whether that is its demo.
    """

    def __init__(self, results: Path, folder: Path, demo: bool = False) -> None:
        self.results, self.demo = results, demo
        self._folder = folder
        self._known: dict[str, Winner | None] = {}

    def full_name(self, name: str) -> str:
        """The name under which the results of a sweep are kept."""
        return f"{name}_demo" if self.demo else name

    def names(self) -> tuple[str, ...]:
        """The sweeps with results here as references name them: those of demos in a demo, without ``_demo``."""
        tables = {path.stem for path in self.results.glob("*.csv") if _is_leaderboard(path)}
        folders = {path.name for path in self.results.glob("runs/*") if self.has_results(path.name)}
        found = sorted(tables | folders)
        return tuple(name.removesuffix("_demo") for name in found if name.endswith("_demo")) if self.demo else (*found,)

    def has_results(self, sweep: str) -> bool:
        """Whether a sweep, by its full name, has been begun here."""
        folder = self.results / "runs" / sweep
        table = self.results / f"{sweep}.csv"
        return _is_leaderboard(table) or (folder / OUTCOME_FILE).exists() or any(folder.glob(f"*/fold-*/{RECORD_FILE}"))

    def is_complete(self, sweep: str) -> bool:
        """Whether every run of a sweep has ended; one from before outcomes were kept is judged by its leaderboard."""
        outcome = read_outcome(self.results / "runs" / sweep)
        rows = _rows(self.results / f"{sweep}.csv")
        known = bool(rows) if outcome is None else outcome.complete
        # A command that was given anew, with more to run, may have been killed before it could note that.
        return known and not any(row["status"] in _UNFINISHED for row in rows)

    def of(self, sweep: str) -> Winner | None:
        """The winner of a sweep, by its full name; None where it has no results here at all.

        Raises UserError for a sweep that is not complete or has no winner, saying which command helps.
        """
        if sweep not in self._known:
            self._known[sweep] = self._find(sweep) if self.has_results(sweep) else None
        return self._known[sweep]

    def command(self, sweep: str, *options: str) -> str:
        """The command that runs a sweep, given by its full name."""
        name = sweep.removesuffix("_demo") if self.demo else sweep
        file = next((str(path) for path in sorted(self._folder.glob("*.y*ml")) if _name_in(path) == name), None)
        words = [
            "python",
            "run_sweep.py",
            file or f"<the file of {name}>",
            *(["--demo"] if self.demo else []),
            *options,
        ]
        if self.results != Path("results"):
            words += ["--results", str(self.results)]
        return " ".join(word if word.startswith("<") else shlex.quote(word) for word in words)

    def _find(self, sweep: str) -> Winner:
        table = self.results / f"{sweep}.csv"
        if not self.is_complete(sweep):
            raise self._refusal(sweep, f"{sweep} is not complete; finish it first", sweep)
        rows = _rows(table)
        if not rows:
            raise self._refusal(sweep, f"{table} is missing, the leaderboard of {sweep}; this writes it again", sweep)
        if any(not pattern.fullmatch(row.get(name) or "") for row in rows for name, pattern in _SOUND.items()):
            raise self._refusal(sweep, f"{table} is damaged, the leaderboard of {sweep}; this writes it again", sweep)
        tied = [row for row in rows if row.get("rank") and row.get("tied_with_best") == "true"]
        if not tied:
            message = f"{sweep} has no winner: no row of {table} is ranked; repeat the runs that failed"
            raise self._refusal(sweep, message, sweep, "--retry-failed")
        best = min(tied, key=lambda row: (_number(row.get("params_millions")), int(row["rank"])))
        folder = self.results / "runs" / sweep / best["configuration"] / "fold-0"
        try:
            record = read(folder)
        except RecordError as error:
            raise self._refusal(sweep, f"the winner's record is damaged ({error}); repeat its run", sweep) from None
        if record is None:
            raise self._refusal(sweep, f"the winner's record in {folder} is missing; repeat its run", sweep)
        return Winner(sweep, best, len(tied), record.settings, table)

    def _refusal(self, where: str, message: str, sweep: str, *options: str) -> UserError:
        return UserError(Problem(where, f"{message}: {self.command(sweep, *options)}"))


def _at(settings: Any, key: str) -> Any:
    for step in split(key):
        if not isinstance(settings, Mapping) or step not in settings:
            raise KeyError(key)
        settings = settings[step]
    return settings


def _rows(table: Path) -> list[dict[str, str]]:
    """The rows of a leaderboard, in their order; none where there is no such file."""
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if row.get("configuration") and row.get("status")]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _is_leaderboard(path: Path) -> bool:
    """Whether a file is a leaderboard, rather than one of the tables beside it."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().startswith("rank,configuration,status,")
    except (OSError, UnicodeDecodeError):
        return False


def _number(text: str | None) -> float:
    try:
        return float(text or math.inf)
    except ValueError:
        return math.inf


def _name_in(path: Path) -> object:
    """The `name` in a sweep file; None where there is none or the file cannot be read."""
    try:
        content = read_file(path).content
    except UserError:
        return None
    return content["name"].content if "name" in content and "stages" not in content else None
