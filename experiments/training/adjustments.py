"""What a run has changed on the way to become possible, kept beside it: every later attempt does the same.

The ladder of a run that is out of memory: its batch goes through the network in parts whose gradients add up, each
time half as large, down to one case; then activations are computed twice instead of kept; then it runs alone.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from experiments.sweep import Settings
from utils.files import write_text_atomically
from utils.identity import digest

ADJUSTMENTS_FILE = "adjustments.json"


class OutOfMemoryError(MemoryError):
    """The attempt at a run has ended for want of memory. The next, in a fresh process, does what the message says."""


@dataclass(frozen=True)
class Adjustments:
    """What differs from the settings.

    micro_batch: cases that go through the network at once; None: the whole batch. checkpointing: whether activations
    are computed again in the backward pass. alone: whether nothing else of the sweep may run meanwhile. lr: the
    learning rate after a training that has diverged; None: that of the settings. notes: what was changed and when, as
    the record has it.
    """

    micro_batch: int | None = None
    checkpointing: bool = False
    alone: bool = False
    lr: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def rung(self) -> tuple[int | None, bool, bool]:
        """Where on the ladder the run stands; attempts at different rungs had memory trouble in between."""
        return self.micro_batch, self.checkpointing, self.alone

    def in_settings(self, settings: Settings) -> Settings:
        """The settings that are trained with."""
        if self.lr is None:
            return settings
        return settings.model_copy(update={"training": settings.training.model_copy(update={"lr": self.lr})})

    def with_less_memory(self, batch_size: int, when: str) -> Adjustments | None:
        """The next rung; None from the last. when: ``in epoch 3``, for the note."""
        now = self.micro_batch or batch_size
        if now > 1 and not self.checkpointing:
            half = math.ceil(now / 2)
            parts = math.ceil(batch_size / half)
            seen = f"batch normalisation sees {half} case{'s' if half > 1 else ''} at a time"
            return self._further(f"out of memory {when}: micro-batch {half} x {parts}, {seen}", micro_batch=half)
        if not self.checkpointing:
            return self._further(f"out of memory {when}: activation checkpointing", checkpointing=True)
        if not self.alone:
            return self._further(f"out of memory {when}: alone on its GPU", alone=True)
        return None

    def with_two_cases(self, batch_size: int) -> Adjustments:
        """Past the rung of a single case, for a network whose batch normalisation cannot train on one."""
        note = f"one case is too few for batch normalisation: micro-batch 2 x {math.ceil(batch_size / 2)}"
        return self._further(f"{note}, activation checkpointing", micro_batch=2, checkpointing=True)

    def at_lower_rate(self, lr: float, epoch: int) -> Adjustments:
        """From scratch at a tenth of the rate `lr`, at which the training diverged in an epoch."""
        return self._further(f"diverged in epoch {epoch}: learning rate {lr / 10:g} instead of {lr:g}", lr=lr / 10)

    def _further(self, note: str, **changes: Any) -> Adjustments:
        return replace(self, notes=(*self.notes, note), **changes)

    def write(self, folder: Path) -> None:
        """Writes them into a run's folder, atomically and with a checksum."""
        content = {"format": 1, **json.loads(json.dumps(asdict(self)))}
        text = json.dumps({**content, "checksum": digest(content, 64)}, indent=1)
        write_text_atomically(folder / ADJUSTMENTS_FILE, text + "\n", durable=True)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Those of a run's folder; none where there is no such file, or a damaged one, which is said in a warning."""
        path = folder / ADJUSTMENTS_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("checksum", None) != digest(content, 64) or content.pop("format", None) != 1:
                raise ValueError("it does not match its checksum")
            return cls(**{**content, "notes": tuple(content["notes"])})
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            warnings.warn(f"{path} cannot be read ({error}); starting without it", stacklevel=2)
            return cls()
