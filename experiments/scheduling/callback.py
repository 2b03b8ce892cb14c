"""What happens in Ray Tune, passed on; and what Ray Tune does not see: a hung run, a lost cluster, a wish to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.tune.progress_reporter import TrialProgressCallback

from experiments.scheduling.observer import Observer
from experiments.scheduling.searcher import LedgerSearcher


class SweepCallback(TrialProgressCallback):
    """Passes what happens to trials on to the observer, ends hung ones, and ends the sweep when asked to.

    In the place of Ray Tune's own callback for progress, which would print nothing and keep every trial.

    check: called ten times a second; what it raises ends the sweep. timeout: seconds that a run may take for an epoch,
    including the start of its process before the first and the evaluation after the last; None for as long as it likes.
    """

    def __init__(
        self,
        searcher: LedgerSearcher,
        observer: Observer,
        check: Callable[[], None],
        timeout: float | None = None,
    ) -> None:
        self._searcher, self._observer, self._check, self._timeout = searcher, observer, check, timeout
        self._heard: dict[str, tuple[float, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ten times a second at least; `check` raises to end the sweep."""
        self._check()
        if self._timeout is not None:
            self._end_hung(self._timeout)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker has taken the trial."""
        self._heard[trial.trial_id] = time.monotonic(), trial
        self._searcher.started(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch is done."""
        self._heard[trial.trial_id] = time.monotonic(), trial
        if (run := self._searcher.run_of(trial.trial_id)) is not None and not result.get("done"):
            self._observer.advanced(run, result["epoch"], result["epochs"], result["objective"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The attempt is over."""
        self._heard.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The attempt is over by the death of its worker."""
        self._heard.pop(trial.trial_id, None)

    def _end_hung(self, timeout: float) -> None:
        """Kills the workers of runs that have not been heard of for so long; the rest is as with any worker's death.

        By Ray, which reaches every machine: a process that is in the middle of C code dies at once, a stopped one
        within some seconds.
        """
        now = time.monotonic()
        for trial_id, (heard, trial) in list(self._heard.items()):
            if now - heard < timeout:
                continue
            del self._heard[trial_id]
            run, actor = self._searcher.run_of(trial_id), trial.temporary_state.ray_actor
            if run is not None and actor is not None:
                self._observer.hung(run, timeout)
                ray.kill(actor)
