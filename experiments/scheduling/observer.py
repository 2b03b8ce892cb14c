"""What the scheduling tells the driver."""

from __future__ import annotations

from typing import Protocol

from experiments.ledger import Record
from experiments.scheduling.queue import Run


class Observer(Protocol):
    """What the driver does when something happens to a run. Called in the driver's main thread."""

    def find(self, run: Run) -> Record | None:
        """The run's record, if it has one by now."""
        ...

    def started(self, run: Run) -> None:
        """A worker has taken the run."""
        ...

    def advanced(self, run: Run, epoch: int, epochs: int, objective: float | None) -> None:
        """The run has finished an epoch."""
        ...

    def hung(self, run: Run, seconds: float) -> None:
        """The run has come no further for so many seconds; its worker is about to be killed, and `crashed` follows."""
        ...

    def crashed(self, run: Run, crashes: int, again: bool) -> None:
        """The run's worker died; the run is retried, or given up and to be recorded as failed."""
        ...

    def returned(self, run: Run) -> None:
        """The run has stopped through no fault of its own, and waits again."""
        ...

    def reached(self, run: Run) -> None:
        """The run has paused where it was to; it goes on only if it is handed out again."""
        ...

    def adjusted(self, run: Run, note: str) -> None:
        """The run, which `returned`, has run out of memory; what it will do about it."""
        ...

    def ended(self, run: Run, record: Record) -> None:
        """The run has its record."""
        ...

    def paused(self, reason: str) -> None:
        """No run is handed out until `resumed`."""
        ...

    def resumed(self) -> None:
        """Runs are handed out again."""
        ...
