"""How often a run writes checkpoints: as often as it may, for the share of the time that they may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar


class Pace:
    """Says after each epoch whether a checkpoint is due, by what writing has cost so far.

    A kill costs what was trained since the last one: at most what it takes to write one, divided by the share, and one
    epoch. After CheckFreq: Frequent, Fine-Grained DNN Checkpointing (Mohan, Phanishayee, Chidambaram, FAST 2021).

    share: of the time, in [0, 1]; 1 is after every epoch. parameters: bytes of the network's, to which the cost is
    proportional. now: a clock in seconds that never goes back.
    """

    _seconds_per_byte: ClassVar[float] = 1e-8
    """Of the last writing of all that going on needs, whichever run's it was in this process; before any, that of a
    common disk."""

    def __init__(self, share: float, parameters: int, now: Callable[[], float] = time.perf_counter) -> None:
        self._share, self._parameters, self._now = share, parameters, now
        self._since = now()

    @property
    def due(self) -> bool:
        """Whether writing now keeps to the share of the time since the last writing, or since the run began."""
        spent = self._parameters * Pace._seconds_per_byte
        return self._share >= 1 or spent <= self._share * (self._now() - self._since)

    @contextmanager
    def writing(self, whole: bool = True) -> Iterator[None]:
        """Around the writing of a checkpoint: takes its time down. One that fails says nothing about the next.

        whole: nothing is left out; what is written after the last epoch is a part, and quicker.
        """
        began = self._now()
        yield
        self._since = self._now()
        if whole:
            Pace._seconds_per_byte = (self._since - began) / max(self._parameters, 1)
