"""The marshal of a race: hands its runs out to whoever has room for one, each once."""

from __future__ import annotations

import heapq

from experiments.racing.race import Race
from experiments.racing.rules import Run


class Marshal:
    """Hands out what the next decision waits for, and when all of that is out, runs that may count later."""

    def __init__(self, race: Race) -> None:
        self.race = race
        self._out: dict[Run, int | None] = {}
        self._early: list[tuple[int, float, Run]] = []
        self._stage, self._entered = -1, 0

    def more(self) -> list[Run] | None:
        """Runs that can begin, those that have paused at a rung included; [] at the end of the race.

        None where there is nothing to do until a run ends. Asked when there is room for one run; what is wanted is
        handed out as a whole.
        """
        if self.race.over:
            return []
        if self._stage != self.race.stage:
            return self._begin_stage() or self._next_early()
        return self._next_early()

    def until(self, run: Run) -> int | None:
        """After which epoch a run that was handed out pauses; None if it goes on to its end."""
        return self._out.get(run)

    def _begin_stage(self) -> list[Run]:
        """What the stage wants and is not out already."""
        self._stage, self._entered = self.race.stage, len(self.race.entered)
        self._early = [self._placed(run) for run in self.race.early()]
        heapq.heapify(self._early)
        until = self.race.until
        wanted = [run for run in self.race.wanted if not self._is_out(run, until)]
        self._out |= dict.fromkeys(wanted, until)
        return wanted

    def _next_early(self) -> list[Run] | None:
        """The run of the earliest fold and the most promising that nothing waits for; None where there is none."""
        for configuration in self.race.entered[self._entered :]:
            for run in self.race.early_of(configuration):
                heapq.heappush(self._early, self._placed(run))
        self._entered = len(self.race.entered)
        while self._early:
            run = heapq.heappop(self._early)[-1]
            if not self._is_out(run, None) and run in self.race.early_of(run[0]):
                self._out[run] = None
                return [run]
        return None

    def _placed(self, run: Run) -> tuple[int, float, Run]:
        return run[1], self.race.promise(run[0]), run

    def _is_out(self, run: Run, until: int | None) -> bool:
        """Whether a run was handed out as far as `until`."""
        if run not in self._out:
            return False
        given = self._out[run]
        return given is None or (until is not None and until <= given)
