"""The order of runs where not all of them may come: first a look at everyone, then whoever is best so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from experiments.scheduling import Run


class ByPromise:
    """Hands out fold 0 of every configuration, then the next run of the most promising one, and so on.

    So the configurations that a leaderboard decides between are the first to be complete, and a budget that ends
    early leaves those undecided that were behind. Promising is a good mean over the folds that have ended; one
    without a value comes after those with one, and one that has failed last, for it has no rank to win. Where
    configurations have different data or folds, their means do not compare, but they are an order still.

    runs: those without a record, fold by fold. patient: whether a configuration that has had no look is waited for,
    rather than have slots idle no moment.
    """

    def __init__(self, runs: Sequence[Run], mode: Literal["max", "min"], *, patient: bool) -> None:
        self._sign, self._patient = 1 if mode == "max" else -1, patient
        self._first = [run for run in runs if run.fold == 0][::-1]
        self._later: dict[str, list[Run]] = {}
        for run in reversed(runs):
            if run.fold > 0:
                self._later.setdefault(run.configuration, []).append(run)
        self._places = {run.configuration: place for place, run in reversed(list(enumerate(runs)))}
        self._values: dict[str, list[float]] = {}
        self._failed: set[str] = set()

    def learn(self, run: Run, value: float | None, failed: bool = False) -> None:
        """A run has ended. value: its objective on the test part, None if it is undefined."""
        values = self._values.setdefault(run.configuration, [])
        if failed:
            self._failed.add(run.configuration)
        elif value is not None and math.isfinite(value):
            values.append(self._sign * value)

    def more(self) -> list[Run] | None:
        """The next run, each once; [] when all were handed out, None if one has to end before."""
        if self._first:
            return [self._first.pop()]
        if not self._later:
            return []
        known = [one for one in self._later if one in self._values]
        if not known and self._patient:
            return None
        best = min(known or self._later, key=self._place)
        run = self._later[best].pop()
        if not self._later[best]:
            del self._later[best]
        return [run]

    def _place(self, configuration: str) -> tuple[bool, float, int]:
        """The less the more promising."""
        values = self._values.get(configuration, [])
        mean = sum(values) / len(values) if values else -math.inf
        return configuration in self._failed, -mean, self._places[configuration]
