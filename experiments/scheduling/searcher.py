"""The queue of runs in the form in which Ray Tune asks for work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.search.searcher import Searcher

from experiments.estimates import seconds_of
from experiments.preflight.slot import Claim
from experiments.scheduling.observer import Observer
from experiments.scheduling.queue import Run, RunQueue
from experiments.scheduling.room import Room
from experiments.scheduling.trainable import CLAIM, FRESH, NO_ROOM, PAUSED, UNTIL
from experiments.training.adjustments import Adjustments


class LedgerSearcher(Searcher):
    """Suggests what the ledger does not have yet.

    Not an optimiser: the decisions are the queue's. What a trial came to is read from the ledger, never
    from Ray's result, which can be missing (a worker that died after its commit) or late. An attempt without a record
    has run out of memory, which is no crash, if the run's folder has further adjustments than before.

    at_once: how many runs fit, which may change. So many are suggested to begin with, since workers take seconds to
    start; from then on one more than is running, since what is suggested early is decided early. What the queue would
    have to ask for is suggested when there is room for it, and not before.

    until: after which epoch a run pauses, None for none; it is then the queue's to hand it out again. room: nothing is
    suggested while it says that there is none. check: called before every suggestion; what it raises ends the sweep,
    also while Ray Tune waits for a suggestion and does nothing else. claim: what a run occupies that begins now.
    """

    def __init__(
        self,
        queue: RunQueue,
        observer: Observer,
        describe: Callable[[Run], dict[str, Any]],
        execution: str,
        at_once: int = 1,
        room: Room | None = None,
        check: Callable[[], None] = lambda: None,
        until: Callable[[Run], int | None] = lambda run: None,
        claim: Callable[[Run], Claim] = lambda run: Claim(1, 0.0),
    ) -> None:
        super().__init__()
        self._queue, self._observer, self._describe, self._execution = queue, observer, describe, execution
        self.at_once, self._room, self._check, self._until, self._claim = at_once, room, check, until, claim
        self._paused = False
        self._runs: dict[str, Run] = {}
        self._running: set[str] = set()
        self._before: dict[str, tuple[Path, Adjustments]] = {}
        self.claims: dict[str, Claim] = {}
        """What the trials occupy that have been suggested and have not ended."""

    # Ray pickles the searcher into its snapshots, which nobody reads: the ledger is the truth.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    # Ray's annotation leaves out the FINISHED that its own documentation names.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The next run without a record; None while enough wait or what is left has to wait; FINISHED at the end."""
        self._check()
        if not self._queue.exhausted and self._no_room():
            return None
        if len(self._runs) - len(self._running) >= max(1, self.at_once - len(self._running)):
            return None
        ahead = len(self._runs) >= self.at_once
        while (run := self._queue.take(ahead, self.at_once)) is not None:
            record = self._observer.find(run)
            if record is not None:
                self._queue.ended(run, seconds_of(record))
                self._observer.ended(run, record)
            elif (config := self._begin(trial_id, run)) is not None:
                return config
        return Searcher.FINISHED if self._queue.exhausted else None

    def _begin(self, trial_id: str, run: Run) -> dict[str, Any] | None:
        """The configuration of an attempt; None if the run has to be alone, and is not."""
        spec = self._describe(run)
        folder = Path(spec["folder"])
        adjusted = Adjustments.read(folder)
        if adjusted.alone and self._queue.set_apart(run):
            return None
        self._runs[trial_id] = run
        self._before[trial_id] = folder, adjusted
        claim = self.claims[trial_id] = self._claim(run)
        config: dict[str, Any] = {"spec": json.dumps(spec), "execution": self._execution, CLAIM: list(claim)}
        if (until := self._until(run)) is not None:
            config[UNTIL] = until
        # What another run has left in its process is what this one may lack.
        return config if adjusted.none_for_memory else {**config, FRESH: trial_id}

    def _no_room(self) -> bool:
        """Whether the sweep has to pause; tells the observer when that changes."""
        shortage = self._room.shortage() if self._room is not None else ""
        if shortage and not self._paused:
            self._observer.paused(shortage)
        if self._paused and not shortage:
            self._observer.resumed()
        self._paused = bool(shortage)
        return self._paused

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
        self.claims.pop(trial_id, None)
        if run is None:
            return
        folder, before = self._before.pop(trial_id)
        record = self._observer.find(run)
        if record is not None:
            if self._room is not None:
                self._room.went_well()
            self._queue.ended(run, seconds_of(record))
            self._observer.ended(run, record)
            return
        if result is not None and NO_ROOM in result:
            if self._room is not None:
                self._room.met(result[NO_ROOM])
            self._return(run)
            return
        if result is not None and PAUSED in result:
            self._queue.ended(run)
            self._observer.reached(run)
            return
        now = Adjustments.read(folder)
        if now.climbed_since(before):
            self._return(run)
            self._observer.adjusted(run, now.notes[-1])
            return
        again = self._queue.crashed(run)
        self._observer.crashed(run, self._queue.crashes(run), again)

    def abandon(self) -> None:
        """The cluster is lost: what ran has crashed, what had yet to begin waits again."""
        for trial_id in list(self._runs):
            if trial_id in self._running:
                self.on_trial_complete(trial_id, error=True)
            else:
                del self._before[trial_id], self.claims[trial_id]
                self._return(self._runs.pop(trial_id))

    def _return(self, run: Run) -> None:
        self._queue.returned(run)
        self._observer.returned(run)
