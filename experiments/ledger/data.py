"""Which data and folds a sweep's results are of, kept beside them, so that no change goes unnoticed.

Other data, and other folds, give every configuration another id: all results would vanish from the leaderboard and
everything would run again. Compared is what a sweep file names in the same words: who writes another root, or other
options, into the file has asked for other data.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.ledger.ledger import Ledger
from experiments.ledger.record import RECORD_FILE
from utils.errors import Problem
from utils.files import write_text_atomically
from utils.identity import digest, file_digest

DATA_FILE = "data.json"
CASES_FOLDER = "data"
_MOST_NAMED = 3


@dataclass(frozen=True)
class SeenData:
    """Data and folds as a sweep file names them, and what is there.

    words, fold_words: what the file says of them, in one form. name: the data for people. data, split: their hashes.
    cases: case id -> hash of its content.
    """

    words: str
    name: str
    data: str
    cases: Mapping[str, str]
    fold_words: str
    split: str


class KnownData:
    """What is written in a sweep's folder of the ledger: ``data.json``, and ``data/<hash>.csv`` with every case."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._path = ledger.root / DATA_FILE
        self._known = _read(self._path)

    def problems(self, seen: Iterable[SeenData]) -> list[Problem]:
        """One for everything that is not as it was when the results were made that are there."""
        found: dict[str, Problem] = {}
        for one in seen:
            data = self._known["data"].get(one.words)
            changed = data is not None and data["data"] != one.data
            if changed and self._has_results("data", data["data"]):
                message = f"{one.name} is not what the results of this sweep are of: {self._difference(data, one)}"
                found[one.words] = Problem("dataset", f"{message}. {self._advice('data')}")
            split = self._known["splits"].get(one.words + one.fold_words)
            if not changed and split not in (None, one.split) and self._has_results("split", split):
                message = f"the folds of {one.name} are not those that the results of this sweep are of"
                found[one.words + one.fold_words] = Problem("folds", f"{message}. {self._advice('folds')}")
        return list(found.values())

    def keep(self, seen: Iterable[SeenData]) -> None:
        """Writes down that from now on the results are of these."""
        data, splits = dict(self._known["data"]), dict(self._known["splits"])
        for one in seen:
            cases = self._cases(one.data)
            if not cases.exists():
                write_text_atomically(cases, _table(one.cases))
            data[one.words] = {"name": one.name, "data": one.data, "cases": file_digest(cases)}
            splits[one.words + one.fold_words] = one.split
        known = {"data": data, "splits": splits}
        if known != self._known:
            content = json.dumps({**known, "checksum": digest(known, 64)}, indent=1, ensure_ascii=False)
            write_text_atomically(self._path, content + "\n", durable=True)
            self._known = known

    def _cases(self, data: str) -> Path:
        return self._ledger.root / CASES_FOLDER / f"{data}.csv"

    def _has_results(self, what: str, value: str) -> bool:
        """Whether there is a record whose `what` is `value`; a record that cannot be read is none."""
        for path in self._ledger.root.glob(f"*/fold-*/{RECORD_FILE}"):
            try:
                content = json.loads(path.read_bytes())
            except (OSError, ValueError):
                continue
            if isinstance(content, dict) and content.get(what) == value:
                return True
        return False

    def _difference(self, known: Mapping[str, str], now: SeenData) -> str:
        path = self._cases(known["data"])
        try:
            sound = file_digest(path) == known["cases"]
        except OSError:
            sound = False
        return _difference(_cases_in(path), now.cases) if sound else f"in which cases is not known ({path} is damaged)"

    def _advice(self, what: str) -> str:
        return (
            f"Put the old {what} back, or go on with --new-data: the runs begin anew as other experiments, "
            f"and the old results stay in {self._ledger.root}"
        )


def _difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """``2 cases were added (a, b), 1 was changed (c)``."""
    kinds = {
        "added": [case for case in new if case not in old],
        "removed": [case for case in old if case not in new],
        "changed": [case for case in new if case in old and old[case] != new[case]],
    }
    parts: list[str] = []
    for kind, cases in kinds.items():
        if cases:
            named = ", ".join(sorted(cases)[:_MOST_NAMED]) + (", ..." if len(cases) > _MOST_NAMED else "")
            noun = "" if parts else " case" if len(cases) == 1 else " cases"
            parts.append(f"{len(cases)}{noun} {'was' if len(cases) == 1 else 'were'} {kind} ({named})")
    return ", ".join(parts) or "its classes are others"


def _table(cases: Mapping[str, str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("case", "content"), *sorted(cases.items())])
    return text.getvalue()


def _cases_in(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["case"]: row["content"] for row in csv.DictReader(file)}


def _read(path: Path) -> dict[str, Any]:
    """What is written there. A file that is damaged knows nothing, like one that is not there."""
    nothing: dict[str, Any] = {"data": {}, "splits": {}}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return nothing
    if not isinstance(content, dict) or content.pop("checksum", None) != digest(content, 64):
        return nothing
    return content
