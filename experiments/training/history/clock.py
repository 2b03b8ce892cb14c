"""Where the seconds of a run go: a clock that is in one phase at a time.

The account is the host's. On a GPU, whose work is only waited for once an epoch, a second counts where the host spent
it: the steps of an epoch and the wait for the last of them are all training. Nothing waits for the sake of the account.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeVar, get_args

Phase = Literal["training", "validation", "testing", "metrics", "data", "writing", "start_up"]
"""training: steps of the optimizer. validation, testing: forward passes; testing times the network's inference, too.
metrics: scoring masks and diagnoses on the host. data: waiting for the loader. writing: checkpoints, tables, the record
and whatever else there is to do between the others. start_up: from the moment in which a worker takes the run to its
first epoch, with the imports of a fresh process and the building of the network."""

PHASES: tuple[Phase, ...] = get_args(Phase)

_Item = TypeVar("_Item")


class PhaseClock:
    """Sums up seconds by phase. A phase within another interrupts it: every second counts once.

    Outside all phases nothing is counted. now: a clock in seconds that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._seconds: dict[Phase, float] = {}
        self._phase: Phase | None = None
        self._since = now()

    def spent(self) -> dict[str, float]:
        """Seconds of each phase that there was, up to this moment, in the order of `PHASES`; to the millisecond."""
        self._enter(self._phase)
        return {phase: round(self._seconds[phase], 3) for phase in PHASES if phase in self._seconds}

    def add(self, spent: Mapping[str, float]) -> None:
        """Takes over what was spent elsewhere, such as in an earlier attempt; phases that nobody knows are ignored."""
        for phase in PHASES:
            if phase in spent:
                self._seconds[phase] = self._seconds.get(phase, 0.0) + spent[phase]

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """What happens within the block is of this phase."""
        outer = self._phase
        self._enter(phase)
        try:
            yield
        finally:
            self._enter(outer)

    def waiting(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items; the time that each takes to come is `data`, that between them of the phase around."""
        iterator = iter(items)
        while True:
            with self.phase("data"):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _enter(self, phase: Phase | None) -> None:
        now = self._now()
        if self._phase is not None:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now
