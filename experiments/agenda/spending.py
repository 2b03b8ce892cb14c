"""What a sweep has spent of its budget, and which runs it can still afford."""

from __future__ import annotations

import time
from collections.abc import Callable

from experiments.estimates import Durations
from experiments.scheduling import Run
from experiments.sweep import Budget

_HOUR = 3600.0


class Spending:
    """A budget in the making. A run is afforded if, by the estimate of its end, all limits will still be kept.

    hours: wall-clock time of this command, from its first run on; a further command has as much again. gpu_hours: what
    all runs of the ledger have taken, each with the share of a GPU that it occupied; those that are under way count as
    if they were to take as long as is estimated, or longer if they have. On CPUs a slot counts as a GPU.

    Until a run has ended that an estimate could be made from, every run is afforded: the first ones may go beyond the
    budget. Nothing that has begun is stopped.

    weight: GPUs that a run occupies if it begins now, or 1 for a slot. clock: seconds, from any moment on.
    """

    def __init__(
        self,
        budget: Budget,
        durations: Durations,
        weight: Callable[[Run], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hours = None if budget.hours is None else budget.hours * _HOUR
        self._gpu_hours = None if budget.gpu_hours is None else budget.gpu_hours * _HOUR
        self._durations, self._weight, self._clock = durations, weight, clock
        self._first: float | None = None
        self._out: dict[Run, tuple[float, float]] = {}
        self.spent = 0.0
        """GPU-seconds of runs that have ended."""
        self.refused: list[Run] = []
        """Runs that the budget has not allowed, in the order in which they were asked for."""

    def past(self, seconds: float, weight: float) -> None:
        """A run had ended before this command began, which also `ended` is told."""
        self.spent += seconds * weight

    def allows(self, run: Run) -> bool:
        """Whether a run may begin; notes it under `refused` if not."""
        now, needed = self._clock(), self._durations.of(run.configuration) or 0.0
        elapsed = 0.0 if self._first is None else now - self._first
        due = self.spent + sum(self._due(other, now) for other in self._out)
        refused = _exceeded(self._hours, elapsed, needed) or _exceeded(self._gpu_hours, due, needed * self._weight(run))
        if refused:
            self.refused.append(run)
        return not refused

    def began(self, run: Run) -> None:
        """A run is about to begin."""
        now = self._clock()
        self._first = now if self._first is None else self._first
        self._out[run] = now, self._weight(run)

    def ended(self, run: Run, seconds: float) -> None:
        """A run is under way no more. seconds: for which it had its slot, over all attempts; 0 without a record."""
        began = self._out.pop(run, None)
        self._durations.learn(run.configuration, seconds)
        if began is not None:
            self.spent += seconds * began[1]

    def _due(self, run: Run, now: float) -> float:
        """GPU-seconds that a run which is under way will have taken."""
        began, weight = self._out[run]
        return max(now - began, self._durations.of(run.configuration) or 0.0) * weight


def leftover(budget: Budget, runs: int, undecided: int, undrawn: int) -> str:
    """What a budget has left over, for people. undecided, undrawn: numbers of configurations."""
    waiting = f"{runs} run{'s' * (runs != 1)} wait{'s' * (runs == 1)}"
    left = f"{undecided} configuration{'s' * (undecided != 1)} {'is' if undecided == 1 else 'are'} undecided"
    drawn = f", {undrawn} not yet drawn" if undrawn else ""
    # Hours are counted anew by every command.
    how = "the same command goes on" if budget.gpu_hours is None else "the same command with a larger budget goes on"
    return f"The budget of {budget.words} allows no further run: {waiting}, {left}{drawn}; {how}"


def _exceeded(limit: float | None, spent: float, needed: float) -> bool:
    """Whether a limit does not allow what is needed, 0 where nobody knows; what is spent allows nothing."""
    return limit is not None and (spent >= limit or spent + needed > limit)
