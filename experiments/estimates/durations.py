"""How long runs will take."""

from __future__ import annotations

import math
from collections.abc import Callable

from experiments.ledger import Record
from experiments.preparation import PlannedConfiguration


def work_of(planned: PlannedConfiguration, gflops: float) -> float:
    """The work of a configuration's run before one has been timed, in a unit that only comparisons know.

    Operations of a forward pass (gflops, for one image) x training cases of a fold x planned epochs. Layers that wait
    for memory more than they compute take longer than that says, which is why what was measured stands in its place.
    """
    return gflops * len(planned.split.folds[0].train) * planned.configuration.settings.training.epochs


def seconds_of(record: Record) -> float:
    """Seconds for which a run has had its slot, over all attempts.

    By the account of its phases; in records that are older than this account, the seconds of its epochs.
    """
    return record.train_seconds if record.spent is None else math.fsum(record.spent.values())


class Durations:
    """Seconds of a configuration's runs: the mean of those that have ended, else by its work and the pace of all.

    work: what a run of a configuration takes, in any unit, 0 where nobody knows.
    """

    def __init__(self, work: Callable[[str], float]) -> None:
        self._work = work
        self._taken: dict[str, tuple[float, int]] = {}
        self._seconds = self._units = 0.0

    def learn(self, configuration: str, seconds: float) -> None:
        """A run of the configuration has taken so long; 0 stands for one that never began."""
        if seconds <= 0:
            return
        total, count = self._taken.get(configuration, (0.0, 0))
        self._taken[configuration] = total + seconds, count + 1
        if (work := self._work(configuration)) > 0:
            self._seconds, self._units = self._seconds + seconds, self._units + work

    def of(self, configuration: str) -> float | None:
        """What a run will take; None before any has ended that could tell."""
        if configuration in self._taken:
            total, count = self._taken[configuration]
            return total / count
        work = self._work(configuration)
        if self._units and work > 0:
            return work * self._seconds / self._units
        runs = sum(count for _, count in self._taken.values())
        return sum(total for total, _ in self._taken.values()) / runs if runs else None
