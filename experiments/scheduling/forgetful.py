"""The order in which Ray Tune starts its trials, and its memory of those that have ended."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

# Beside the list of all its trials, which it hands out, Ray Tune has them in sets.
_SETS = ("_stopped_trials", "_failed_trials", "_trials_to_cache")


class Forgetful(FIFOScheduler):
    """Starts trials in the order in which they come, and makes Ray Tune forget those that have ended.

    Of itself Ray Tune keeps every trial with its results, 40 KB each, and looks through all of them several times
    between two results: a run would cost the more, the more were before it. What a trial came to, the ledger knows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ended: set[Trial] = set()

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A trial is about to end; those before it are forgotten."""
        self._forget(tune_controller)
        self._ended.add(trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """As `on_trial_complete`."""
        self._forget(tune_controller)
        self._ended.add(trial)

    def _forget(self, controller: Any) -> None:
        """Never the last one: where there is no trial at the end, Ray Tune looks for some on the disk."""
        gone = {trial for trial in self._ended if trial.is_finished() and not trial.is_saving}
        self._ended -= gone
        trials = controller.get_trials()
        trials[:] = [trial for trial in trials if trial not in gone]
        for name in _SETS:
            getattr(controller, name, set()).difference_update(gone)
