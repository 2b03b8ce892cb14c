"""A run as Ray Tune sees it: an actor that trains one epoch a step and is reused for the next run."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from dataclasses import replace
from typing import Any, Protocol

from ray import tune

from experiments.training.spec import RunSpec
from utils.files import disk_full

NO_ROOM = "no_room"
"""The key of a result that stands for an attempt which a full disk has ended."""
PAUSED = "paused"
"""The key of a result that stands for an attempt which has come to where it was to pause."""
UNTIL = "until"
"""The key of a configuration that says after which epoch that is."""
CLAIM = "claim"
"""The key of a configuration that says how many CPU cores and GPUs the attempt occupies."""
FRESH = "fresh"
"""The key of a configuration that wants a process of its own, with a value that no other configuration has."""


class _Execution(Protocol):
    def step(self) -> Any: ...

    def close(self) -> None: ...


class RunTrainable(tune.Trainable):
    """Executes the run in ``config["spec"]`` (JSON) by the class named in ``config["execution"]``.

    The class is named, not imported here, because importing torch belongs into the worker.
    """

    _config: dict[str, Any]
    _execution: _Execution | None

    def setup(self, config: dict[str, Any]) -> None:
        """Called once per actor; Ray's `Trainable` interface. Quick, for Ray Tune starts actors one after another."""
        self._config, self._execution, self._taken = config, None, time.perf_counter()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes over the next run in the same process: its imports and open cache are what reuse saves."""
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch. On a full disk the attempt ends here, without a record, and says so.

        Whatever else is raised makes Ray Tune end the process, as it must where memory was lacking.
        """
        try:
            if self._execution is None:
                spec = replace(RunSpec.from_json(json.loads(self._config["spec"])), taken=self._taken)
                self._execution = _load(self._config["execution"])(spec)
            progress = self._execution.step()
        except Exception as error:
            if not disk_full(error):
                raise
            self.cleanup()
            return {"done": True, NO_ROOM: str(error), "worker": os.getpid()}
        until = self._config.get(UNTIL)
        paused = until is not None and progress.epoch >= until and not progress.ended
        if paused:
            self.cleanup()
        return {
            **({PAUSED: True} if paused else {}),
            "done": progress.ended or paused,
            "epoch": progress.epoch,
            "epochs": progress.epochs,
            "objective": progress.objective,
            "worker": os.getpid(),
        }

    def cleanup(self) -> None:
        """Called when the actor is stopped."""
        if self._execution is not None:
            self._execution.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a run keeps its own checkpoints; Ray keeps no truth."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, as `save_checkpoint`."""


def _load(name: str) -> Any:
    """The class called ``module:Class``."""
    module, _, attribute = name.partition(":")
    if module not in sys.modules:
        # What is imported stays. Looking through it for garbage again and again, while it grows to a million
        # objects, takes a third of the time that torch, timm and smp need to be imported, and at every full
        # collection after that a piece of an epoch.
        gc.disable()
        try:
            importlib.import_module(module)
            gc.freeze()
        finally:
            gc.enable()
    return getattr(sys.modules[module], attribute)
