"""The queue of runs in the form in which Ray Tune asks for work."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.search.searcher import Searcher

from experiments.ledger import Record
from experiments.scheduling.queue import Run, RunQueue


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

    def crashed(self, run: Run, crashes: int, again: bool) -> None:
        """The run's worker died; the run is retried, or given up and to be recorded as failed."""
        ...

    def ended(self, run: Run, record: Record) -> None:
        """The run has its record."""
        ...


class LedgerSearcher(Searcher):
    """Suggests what the ledger does not have yet.

    Not an optimiser: the decisions are the queue's. What a trial came to is read from the ledger, never
    from Ray's result, which can be missing (a worker that died after its commit) or late.

    at_once: how many runs fit. So many are suggested to begin with, since workers take seconds to start; from
    then on one more than is running, since what is suggested early is decided early. What the queue would
    have to ask for is suggested when there is room for it, and not before.
    """

    def __init__(
        self,
        queue: RunQueue,
        observer: Observer,
        describe: Callable[[Run], dict[str, Any]],
        execution: str,
        at_once: int = 1,
    ) -> None:
        super().__init__()
        self._queue, self._observer, self._describe, self._execution = queue, observer, describe, execution
        self._at_once = at_once
        self._runs: dict[str, Run] = {}
        self._running: set[str] = set()

    # Ray pickles the searcher into its snapshots, which nobody reads: the ledger is the truth.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    # Ray's annotation leaves out the FINISHED that its own documentation names.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The next run without a record; None while enough wait or what is left has to wait; FINISHED at the end."""
        if len(self._runs) - len(self._running) >= max(1, self._at_once - len(self._running)):
            return None
        ahead = len(self._runs) >= self._at_once
        while (run := self._queue.take(ahead)) is not None:
            record = self._observer.find(run)
            if record is None:
                self._runs[trial_id] = run
                return {"spec": json.dumps(self._describe(run)), "execution": self._execution}
            self._queue.ended(run)
            self._observer.ended(run, record)
        return Searcher.FINISHED if self._queue.exhausted else None

    def run_of(self, trial_id: str) -> Run | None:
        """The run that a trial executes."""
        return self._runs.get(trial_id)

    def started(self, trial_id: str) -> None:
        """A worker has taken the trial."""
        if (run := self._runs.get(trial_id)) is not None:
            self._running.add(trial_id)
            self._observer.started(run)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Looks up what the trial came to; an unknown trial is ignored, for an exception here ends the sweep."""
        run = self._runs.pop(trial_id, None)
        self._running.discard(trial_id)
        if run is None:
            return
        record = self._observer.find(run)
        if record is not None:
            self._queue.ended(run)
            self._observer.ended(run, record)
            return
        again = self._queue.crashed(run)
        self._observer.crashed(run, self._queue.crashes(run), again)


class SweepCallback(Callback):
    """Passes what happens to trials on to the observer, and ends the sweep when asked to."""

    def __init__(self, searcher: LedgerSearcher, observer: Observer, check: Callable[[], None]) -> None:
        self._searcher, self._observer, self._check = searcher, observer, check

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ten times a second at least; `check` raises to end the sweep."""
        self._check()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker has taken the trial."""
        self._searcher.started(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch is done."""
        if (run := self._searcher.run_of(trial.trial_id)) is not None and not result.get("done"):
            self._observer.advanced(run, result["epoch"], result["epochs"], result["objective"])
