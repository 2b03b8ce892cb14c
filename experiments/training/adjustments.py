"""What a run has changed on the way to become possible, kept beside it: every later attempt does the same.

The ladder of a run that is out of memory: if it was packed onto a GPU with others it has one to itself; its batch goes
through the network in parts, the micro-batches, each time half as large, down to one case; then activations are
computed twice instead of kept; then it runs alone, after all others. A rung that cannot help is left out.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from experiments.sweep import Settings
from utils.files import write_text_atomically
from utils.identity import digest

ADJUSTMENTS_FILE = "adjustments.json"
AT_START, IN_TEST = "at the start", "in the test"
"""Where a run can be out of memory beside its epochs."""


class OutOfMemoryError(MemoryError):
    """The attempt at a run has ended for want of memory. The next, in a fresh process, does what the message says."""


@dataclass(frozen=True)
class Adjustments:
    """What differs from the settings.

    micro_batch: cases that go through the network at once; None: the whole batch. checkpointing: whether activations
    are computed again in the backward pass. alone: whether nothing else of the sweep may run meanwhile. lr: the
    learning rate after a training that has diverged; None: that of the settings. own_gpu: whether a GPU is shared with
    none, which changes no result. notes: what was changed and when, as the record has it.
    """

    micro_batch: int | None = None
    checkpointing: bool = False
    alone: bool = False
    lr: float | None = None
    own_gpu: bool = False
    notes: tuple[str, ...] = ()

    @property
    def none_for_memory(self) -> bool:
        """Whether the run has never been out of memory."""
        return self._rung == Adjustments()._rung

    def climbed_since(self, before: Adjustments) -> bool:
        """Whether the run, which had the adjustments `before`, has been out of memory in between.

        Not if it has fewer now: their file was damaged.
        """
        return self._rung != before._rung and len(self.notes) > len(before.notes)

    def follow(self, notes: Sequence[str]) -> bool:
        """Whether they are those of the notes, which an earlier attempt had, or more."""
        return self.notes[: len(notes)] == tuple(notes)

    @property
    def _rung(self) -> tuple[bool, int | None, bool, bool]:
        return self.own_gpu, self.micro_batch, self.checkpointing, self.alone

    def in_settings(self, settings: Settings) -> Settings:
        """The settings that are trained with."""
        if self.lr is None:
            return settings
        return settings.model_copy(update={"training": settings.training.model_copy(update={"lr": self.lr})})

    def with_less_memory(self, batch_size: int, when: str) -> Adjustments | None:
        """The next rung that can help; None from the last. when: AT_START, IN_TEST or ``in epoch 3``."""
        lacking, trains = f"out of memory {when}", when not in (AT_START, IN_TEST)
        at_once = self.micro_batch or batch_size
        if at_once > 1 and not self.checkpointing and when != AT_START:  # where only weights and their like are loaded
            half = at_once // 2
            seen = ", for batch normalisation too" if trains else ""
            return self._further(f"{lacking}: micro-batch {half} of {batch_size}{seen}", micro_batch=half)
        if not self.checkpointing and trains:
            return self._further(f"{lacking}: activation checkpointing", checkpointing=True)
        if not self.alone:
            return self._further(f"{lacking}: alone, after all others", alone=True)
        return None

    def with_own_gpu(self, when: str) -> Adjustments:
        """The rung of a run that shares a GPU and need not: what it lacks, its neighbours may have."""
        return self._further(f"out of memory {when}: no other run on its GPU", own_gpu=True)

    def with_two_cases(self, batch_size: int) -> Adjustments:
        """Past the rung of a single case, for a network whose batch normalisation cannot train on one."""
        note = f"one case is too few for batch normalisation: micro-batch 2 of {batch_size}, activation checkpointing"
        return self._further(note, micro_batch=2, checkpointing=True)

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
