"""A run in the store: how far it has come, and, once, how it has ended.

``records/<sweep>/<configuration>/fold-<i>/`` holds a folder of files for every attempt, a manifest for the furthest
state that each has put there, and ``ended.json``, the manifest of the record and what belongs to it. That one is
created, never replaced: of two attempts that end, one counts.
"""

from __future__ import annotations

import csv
import json
import re
import secrets
import sys
import warnings
from pathlib import Path

from experiments.ledger.record import CHECKPOINT, RECORD_FILE, TABLES
from experiments.storage.parcel import Parcel, receive, send
from experiments.storage.store import DamageError, Store
from experiments.training.adjustments import ADJUSTMENTS_FILE, Adjustments
from utils.files import write_text_atomically

CHECKPOINT_TO_GO_ON = "last.pt"
KEPT = (*TABLES, CHECKPOINT, ADJUSTMENTS_FILE, "attempts.csv", "snapshots.npz", "error.txt")
"""What travels beside the record; what only going on needs is not kept when a run has ended."""
STATE = (*KEPT, CHECKPOINT_TO_GO_ON)
_ALL = (RECORD_FILE, *STATE, "previous.pt")

MARK_FILE = "stored.json"
"""In a run's folder: of which line of attempts its files are, each the continuation of the one before."""

RECORDS = "records"
_ENDED = "ended.json"


class StoredRun:
    """One run in the store, seen from a machine that has `folder` for it."""

    def __init__(self, store: Store, sweep: str, configuration: str, fold: int, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._place = f"{RECORDS}/{sweep}/{configuration}/fold-{fold}"
        self._attempt = secrets.token_hex(6)
        self._mine: tuple[str, Parcel] | None = None

    def ended(self) -> Parcel | None:
        """The manifest of the run's end; None while it has not ended. Raises DamageError for one that is damaged."""
        return Parcel.read(self._store, f"{self._place}/{_ENDED}")

    def has_ended(self) -> bool:
        """Whether there is a record."""
        return self._store.read(f"{self._place}/{_ENDED}") is not None

    def states(self) -> list[Parcel]:
        """What attempts have put there, the furthest first; damaged manifests are left out, which is said."""
        found = []
        for key in reversed(self._store.keys(self._place)):
            if not key.removeprefix(f"{self._place}/").startswith("state-"):
                continue
            try:
                if (state := Parcel.read(self._store, key)) is not None:
                    found.append(state)
            except DamageError as error:
                warnings.warn(f"{key}: {error}; going on without it", stacklevel=2)
        return found

    def fetch_state(self) -> None:
        """Makes the folder's files the furthest state in the store, unless they are of the same line and as far.

        Files of another line, such as those of a failed run that is repeated, are deleted: this line begins anew.
        """
        mark = _line_of(self._folder)
        states = self.states()
        if not states and mark is None:
            return  # it has never been in a store: what is there was done without one
        for state in states:
            if mark == state.of["line"] and _standing(self._folder) >= _standing_of(state):
                return
            self._clear(keep=state)
            try:
                receive(self._store, state, self._folder, last=CHECKPOINT_TO_GO_ON)
            except DamageError as error:
                warnings.warn(f"{error}; going on without it", stacklevel=2)
                continue
            _write_mark(self._folder, state.of["line"])
            return
        self._clear()

    def fetch_adjustments(self) -> None:
        """Takes over what attempts on other machines have adjusted since this folder's."""
        for state in self.states()[:1]:
            sent = state.files.get(ADJUSTMENTS_FILE)
            if sent is not None and state.of["adjustments"] > len(Adjustments.read(self._folder).notes):
                self._store.get(sent.key, self._folder / ADJUSTMENTS_FILE, sent.sealed)

    def put_state(self) -> None:
        """Puts the folder's files there, those that have changed since the last time."""
        before = self._mine[1].files if self._mine else {}
        line = _line_of(self._folder) or self._attempt
        adjustments, epochs = _standing(self._folder)
        of = {"line": line, "adjustments": adjustments, "epochs": epochs}
        state = send(self._store, self._folder, STATE, f"{self._place}/{self._attempt}", before, of)
        key = f"{self._place}/state-{adjustments:03}-{epochs:06}-{self._attempt}.json"
        self._store.write(key, state.to_bytes())
        _write_mark(self._folder, line)
        old = [] if self._mine is None or self._mine[0] == key else [self._mine[0]]
        current = {sent.key for sent in state.files.values()}
        # Of its own files only: another attempt's may be those of a state that is further.
        self._store.delete([*old, *(sent.key for sent in before.values() if sent.key not in current)])
        self._mine = key, state

    def put_end(self) -> None:
        """Puts the folder's record and what belongs to it there, unless another came first, and nothing else stays."""
        before = self._mine[1].files if self._mine else {}
        line = _line_of(self._folder) or self._attempt
        place = f"{self._place}/{self._attempt}"
        _write_mark(self._folder, line)
        end = send(self._store, self._folder, (*KEPT, RECORD_FILE), place, before, {"line": line})
        if self._store.create(f"{self._place}/{_ENDED}", end.to_bytes()):
            _write_mark(self._folder, line, end.files[RECORD_FILE].sha256)
        self.tidy()

    def fetch_end(self, end: Parcel) -> None:
        """Makes the folder's record and what belongs to it those of the store. Raises DamageError if they are lost."""
        self._clear(keep=end)
        receive(self._store, end, self._folder, last=RECORD_FILE)
        _write_mark(self._folder, end.of["line"], end.files[RECORD_FILE].sha256)

    def tidy(self) -> None:
        """Deletes everything of a run that has ended but its end."""
        if (end := self.ended()) is not None:
            kept = {f"{self._place}/{_ENDED}", *(sent.key for sent in end.files.values())}
            self._store.delete(key for key in self._store.keys(self._place) if key not in kept)

    def forget(self) -> None:
        """Deletes the run, its end first."""
        self._store.delete([f"{self._place}/{_ENDED}", *self._store.keys(self._place)])

    def _clear(self, keep: Parcel | None = None) -> None:
        """Deletes what others than the kept files are of; the files that say how far the run is in any case."""
        for name in _ALL:
            if keep is None or name not in keep.files or name in (RECORD_FILE, CHECKPOINT_TO_GO_ON):
                (self._folder / name).unlink(missing_ok=True)


def records_of(store: Store, sweep: str) -> list[tuple[str, int]]:
    """The runs of a sweep that have ended, by configuration id and fold."""
    pattern = re.compile(rf"{RECORDS}/{re.escape(sweep)}/(\w+)/fold-(\d+)/{re.escape(_ENDED)}")
    ended = filter(None, map(pattern.fullmatch, store.keys(f"{RECORDS}/{sweep}")))
    return [(match[1], int(match[2])) for match in ended]


def _standing(folder: Path) -> tuple[int, int]:
    """How often the run in a folder has been adjusted, and how many epochs it can go on from."""
    adjustments = len(Adjustments.read(folder).notes)
    if (folder / RECORD_FILE).exists():
        return adjustments, sys.maxsize  # it has ended, but the store could not be told
    if not (folder / CHECKPOINT_TO_GO_ON).exists() or not (folder / "epochs.csv").exists():
        return adjustments, 0
    with (folder / "epochs.csv").open(newline="", encoding="utf-8") as file:
        return adjustments, sum(1 for _ in csv.DictReader(file))


def _standing_of(state: Parcel) -> tuple[int, int]:
    return state.of["adjustments"], state.of["epochs"]


def _mark_of(folder: Path) -> dict[str, str]:
    try:
        mark = json.loads((folder / MARK_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _line_of(folder: Path) -> str | None:
    return _mark_of(folder).get("line")


def _write_mark(folder: Path, line: str, record: str = "") -> None:
    mark = {"line": line, "record": record}
    if _mark_of(folder) != mark:
        write_text_atomically(folder / MARK_FILE, json.dumps(mark) + "\n")


def settled_record(folder: Path) -> str:
    """The SHA-256 of the record that the store is known to have for the run in a folder; '' if none is known."""
    return _mark_of(folder).get("record", "")
