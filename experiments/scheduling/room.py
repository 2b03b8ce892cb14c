"""Room on the disk that results go to: while there is none, no run is handed out."""

from __future__ import annotations

import time
from pathlib import Path

from utils.files import free_bytes

RESERVE = 256 * 2**20
"""Bytes that are left free: the leaderboard and the study are written to the same disk."""

_ASKED_EVERY = 2.0
_SHORTEST, _LONGEST = 5.0, 300.0


class Room:
    """Whether there is room for another run.

    There is none while less than `reserve` bytes are free, nor for a while after a run has met a full disk: what is
    free may be too little for that run, and a quota does not show in it. The while doubles, from five seconds to five
    minutes, until a run gets through.
    """

    def __init__(self, folder: Path, reserve: int = RESERVE) -> None:
        self._folder, self._reserve = folder, reserve
        self._pause, self._until = _SHORTEST, 0.0
        self._asked, self._answer, self._met = 0.0, "", ""

    def shortage(self) -> str:
        """Why no run can begin now; '' if one can. Looks at the disk every two seconds at the most."""
        now = time.monotonic()
        if now < self._until:
            return self._met
        if now - self._asked >= _ASKED_EVERY:
            self._asked, self._answer = now, self._look()
        return self._answer

    def met(self, reason: str) -> None:
        """A run has met a full disk."""
        now = time.monotonic()
        if now >= self._until:  # else a neighbour has met the same one
            self._until = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST)
        self._met = f"no space left on the disk of {self._folder} ({reason})"

    def went_well(self) -> None:
        """A run has got through."""
        self._pause = _SHORTEST

    def _look(self) -> str:
        try:
            free = free_bytes(self._folder)
        except FileNotFoundError:
            return ""  # it will be made
        if free >= self._reserve:
            return ""
        return f"{free / 2**20:,.0f} MB are free on the disk of {self._folder}, {self._reserve / 2**20:,.0f} are needed"
