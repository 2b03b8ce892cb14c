"""Sessions of a sweep: from the start of the first run that a command executes to the end of its last one."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from experiments.accounting.energy import joules_so_far
from utils.files import disk_full, write_text_atomically

SESSIONS_FILE = "sessions.jsonl"
"""In the sweep's folder of the ledger, a line for each session."""

_WRITTEN_EVERY = 10.0


@dataclass(frozen=True)
class Session:
    """One session.

    began: when the first run did (ISO 8601). seconds: until the last run ended, or was last heard of where the driver
    was killed. slots: how many runs there was room for at once; 0 for none yet. joules: what the GPUs of the driver's
    machine took meanwhile, whoever used them; None where nobody measures it.
    """

    began: str
    seconds: float
    slots: int
    joules: float | None = None


def read_sessions(folder: Path) -> tuple[Session, ...]:
    """The sessions in a sweep's folder of the ledger, in order; what cannot be read is left out with a warning."""
    path = folder / SESSIONS_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        warnings.warn(f"{path} cannot be read ({error}); slot time is counted without it", stacklevel=2)
        return ()
    found = []
    for line in lines:
        try:
            found.append(_session(json.loads(line)))
        except (ValueError, TypeError) as error:
            warnings.warn(f"{path} has a line that is no session ({error}); it is left out", stacklevel=2)
    return tuple(found)


def _session(values: dict[str, object]) -> Session:
    """Raises TypeError for other keys or types."""
    session = Session(**values)  # type: ignore[arg-type]
    numbers = (session.seconds, session.slots, session.joules or 0.0)
    if not all(isinstance(number, int | float) for number in numbers):
        raise TypeError("seconds, slots and joules are numbers")
    return session


class SessionLog:
    """Notes the session of a driver while it goes on. A driver that is killed loses the last seconds of it.

    slots: how many runs there is room for; where more are seen at once, it is they that count. now: seconds that never
    go back. energy: joules since some moment, None where nobody measures them.
    """

    def __init__(
        self,
        folder: Path,
        now: Callable[[], float] = time.monotonic,
        energy: Callable[[], float | None] = joules_so_far,
    ) -> None:
        self._path, self._now, self._energy = folder / SESSIONS_FILE, now, energy
        self._earlier = read_sessions(folder)
        self._running: set[Hashable] = set()
        self._began, self._start, self._heard = "", 0.0, 0.0
        self._written = -math.inf
        self._joules: float | None = None
        self.slots = 0

    def started(self, run: Hashable) -> None:
        """A run is under way."""
        if not self._began:
            self._began, self._start = datetime.now(UTC).isoformat(timespec="seconds"), self._now()
            self._joules = self._energy()
        self._running.add(run)
        self.slots = max(self.slots, len(self._running))
        self.heard()

    def heard(self) -> None:
        """A run has come further."""
        self._heard = self._now()
        if self._heard - self._written >= _WRITTEN_EVERY:
            self._write()

    def left(self, run: Hashable) -> None:
        """A run is under way no more."""
        if run in self._running:
            self._running.remove(run)
            self.heard()

    def close(self) -> None:
        """The session is over; without a run there was none."""
        if self._began:
            self._write()

    def _write(self) -> None:
        joules = None if self._joules is None or (now := self._energy()) is None else round(now - self._joules, 1)
        session = Session(self._began, round(self._heard - self._start, 3), self.slots, joules)
        lines = [json.dumps(asdict(each)) + "\n" for each in (*self._earlier, session)]
        try:
            write_text_atomically(self._path, "".join(lines))
        except OSError as error:
            if not disk_full(error):
                raise  # else it is written with the next, when there is room
        self._written = self._heard
