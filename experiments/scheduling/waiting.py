"""What a run is, and the runs that wait, in the order in which they should begin."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_CAUTION = 1.5
"""How much longer than estimated a run is taken to be where it might end alone."""


class Run(NamedTuple):
    """One configuration on one fold: the unit that is scheduled, retried, resumed and recorded."""

    configuration: str
    fold: int


class Waiting:
    """Runs in the order given; with `work` fold by fold, of a fold the longest first.

    work: what the runs of a configuration are estimated to take, in any unit, 1 where it says nothing; None for the
    order given. What its runs have really taken stands in its place as soon as one has ended.

    Longest processing time first (Graham 1969) keeps the tail short, in which slots idle. For the same reason a run
    comes before those of earlier folds when all slots together have no more left than it takes: it would end alone. No
    order changes a result.
    """

    def __init__(self, runs: Iterable[Run], work: Mapping[str, float] | None = None) -> None:
        self._ordered = work is not None
        self._work: Mapping[str, float] = work or {}
        self._taken: dict[str, tuple[float, int]] = {}
        self._seconds = self._units = 0.0
        self._front: deque[Run] = deque()
        self._count = itertools.count()
        self._numbers: dict[Run, int] = {}
        self._of: dict[str, set[Run]] = {}
        self._estimates: dict[str, float] = {}
        self._by_fold: list[tuple[int, float, int, Run]] = []
        self._by_length: list[tuple[float, int, Run]] = []
        self._left = 0.0
        self.extend(runs)

    def __len__(self) -> int:
        return len(self._front) + len(self._numbers)

    def extend(self, runs: Iterable[Run]) -> None:
        """More runs. Raises ValueError for one that waits already."""
        for run in runs:
            if run in self._numbers:
                raise ValueError("a run is queued twice")
            self._numbers[run] = next(self._count)
            self._of.setdefault(run.configuration, set()).add(run)
            self._left += self._estimate(run.configuration)
            self._place(run)

    def push_front(self, run: Run) -> None:
        """A run that comes before all others."""
        self._front.appendleft(run)

    def learn(self, configuration: str, seconds: float) -> None:
        """A run of the configuration has taken so long."""
        if not self._ordered or seconds <= 0:
            return
        old = self._estimate(configuration)
        total, count = self._taken.get(configuration, (0.0, 0))
        self._taken[configuration] = total + seconds, count + 1
        self._seconds, self._units = self._seconds + seconds, self._units + self._work.get(configuration, 1.0)
        # Estimates stay in the unit of `work`: that of the others need not be changed.
        new = (total + seconds) / (count + 1) * self._units / self._seconds
        self._estimates[configuration] = new
        for run in sorted(self._of.get(configuration, ())):
            self._left += new - old
            self._place(run)

    def pop(self, slots: int = 1) -> Run:
        """The next run, for one of so many slots. Raises IndexError if none waits."""
        if self._front:
            return self._front.popleft()
        if not self._numbers:
            raise IndexError("no run waits")
        while not self._is_current(self._by_fold[0][-1], -self._by_fold[0][1]):
            heapq.heappop(self._by_fold)
        run = self._by_fold[0][-1]
        if self._ordered:
            while not self._is_current(self._by_length[0][-1], -self._by_length[0][0]):
                heapq.heappop(self._by_length)
            if _CAUTION * slots * -self._by_length[0][0] >= self._left:
                run = self._by_length[0][-1]
        del self._numbers[run]
        self._of[run.configuration].discard(run)
        self._left -= self._estimate(run.configuration)
        return run

    def _estimate(self, configuration: str) -> float:
        return self._estimates.get(configuration, self._work.get(configuration, 1.0)) if self._ordered else 0.0

    def _place(self, run: Run) -> None:
        """Puts a run into the heaps; where it stood before is outdated."""
        length, number = -self._estimate(run.configuration), self._numbers[run]
        heapq.heappush(self._by_fold, (run.fold if self._ordered else 0, length, number, run))
        if self._ordered:
            heapq.heappush(self._by_length, (length, number, run))

    def _is_current(self, run: Run, estimate: float) -> bool:
        return run in self._numbers and estimate == self._estimate(run.configuration)
