"""The runs of a sweep in the order in which they are wanted; knows nothing of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from experiments.scheduling.waiting import Run, Waiting

__all__ = ["Allowance", "Run", "RunQueue", "fold_by_fold"]


class Allowance(Protocol):
    """What a budget allows."""

    refused: list[Run]

    def allows(self, run: Run) -> bool:
        """Whether a run may begin; notes it under `refused` if not."""
        ...

    def began(self, run: Run) -> None:
        """A run is about to begin."""
        ...

    def ended(self, run: Run, seconds: float) -> None:
        """A run is under way no more, if it was. seconds: for which it had its slot, 0 without a record."""
        ...


class RunQueue:
    """Hands out each run once, fold 0 of every configuration, then fold 1, and so on, or else in the order given.

    So the whole table can be compared after a third of a 3-fold sweep. A run whose worker died goes
    back to the front, at most `retries` times. A run that was set apart comes when all others have ended, alone.

    more: asked for further runs whenever none waits and there is room for one; what it answers depends on what has
    ended by then, so that it is not asked earlier. When it has no more it is not asked again; None stands for none
    until a run ends. work: as in `Waiting`; None for the order given.

    allowance: what it refuses is left out, and not handed out any more. Nothing is then taken before there is room
    for it, since until then it is not known when it would begin.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        retries: int = 2,
        more: Callable[[], Sequence[Run] | None] | None = None,
        work: Mapping[str, float] | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self.retries = retries
        self._more = more
        self._allowance = allowance
        self._waiting = Waiting(runs, work)
        self._apart: deque[Run] = deque()
        self._taken: set[Run] = set()
        self._alone: Run | None = None
        self._crashes: dict[Run, int] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._apart)

    @property
    def exhausted(self) -> bool:
        """True when nothing waits or is to be asked for, and nothing that was taken could still come back."""
        return not len(self) and not self._taken and self._more is None

    def take(self, ahead: bool = False, slots: int = 1) -> Run | None:
        """The next run, or None when none waits (one that is taken may yet come back).

        ahead: whether there is no room for it yet, so that it is only taken if it waits already. slots: how many runs
        fit at once.
        """
        if self._alone is not None or (ahead and self._allowance is not None):
            return None
        while (run := self._next(ahead, slots)) is not None:
            if self._allowance is None or self._allowance.allows(run):
                self._taken.add(run)
                if self._allowance is not None:
                    self._allowance.began(run)
                return run
            self._alone = None
        return None

    def _next(self, ahead: bool, slots: int) -> Run | None:
        """The next run, not yet taken."""
        alone = self._more is None
        if not self._waiting and self._more is not None and not ahead:
            asked = self._more()
            self._waiting.extend(asked or ())
            alone = not asked
            if not asked and (asked is not None or self._waits_in_vain()):
                self._more = None
        if self._waiting:
            return self._waiting.pop(slots)
        if self._apart and not self._taken and alone:
            self._alone = self._apart.popleft()
            return self._alone
        return None

    def _waits_in_vain(self) -> bool:
        """Whether what comes next waits for a run that was left out."""
        return self._allowance is not None and bool(self._allowance.refused) and not self._taken and not self._apart

    def set_apart(self, run: Run) -> bool:
        """Puts a run that was taken behind all others; False if it is alone already, and may begin."""
        if run == self._alone:
            return False
        self._taken.remove(run)
        self._apart.append(run)
        return True

    def ended(self, run: Run, seconds: float = 0.0) -> None:
        """The run has its record; a run that is not out is ignored. seconds: that it took, 0 if nobody knows."""
        self._waiting.learn(run.configuration, seconds)
        self._taken.discard(run)
        if self._allowance is not None:
            self._allowance.ended(run, seconds)
        if run == self._alone:
            self._alone = None

    def crashed(self, run: Run) -> bool:
        """The run's worker died without a record. Returns False when it has used up its retries."""
        if run not in self._taken:
            return True
        self.ended(run)
        self._crashes[run] = self._crashes.get(run, 0) + 1
        if self._crashes[run] > self.retries:
            return False
        self._waiting.push_front(run)
        return True

    def returned(self, run: Run) -> None:
        """The run has no record through no fault of its own: it goes back to the front, and nothing is counted."""
        if run in self._taken:
            self.ended(run)
            self._waiting.push_front(run)

    def crashes(self, run: Run) -> int:
        """How often the run's worker has died."""
        return self._crashes.get(run, 0)


def fold_by_fold(configurations: Sequence[tuple[str, int]]) -> list[Run]:
    """Runs of configurations, each ``(id, number of folds)``: fold 0 of all, then fold 1 of all, ..."""
    rounds = max((folds for _, folds in configurations), default=0)
    return [Run(name, fold) for fold in range(rounds) for name, folds in configurations if fold < folds]
