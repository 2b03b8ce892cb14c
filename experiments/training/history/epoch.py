"""One epoch of a run, and the table of all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.training.evaluation import number
from utils.files import write_text_atomically


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. `validation` holds every metric on the validation part."""

    epoch: int
    lr: float
    train_loss: float
    objective: float
    validation: dict[str, float]
    seconds: float

    def row(self) -> dict[str, str]:
        """The epoch as a row of ``epochs.csv``."""
        scores = {f"validation_{name}": number(value) for name, value in self.validation.items()}
        return {
            "epoch": str(self.epoch),
            "lr": f"{self.lr:.9g}",
            "train_loss": number(self.train_loss),
            **scores,
            "seconds": f"{self.seconds:.3f}",
        }


def write_epochs(history: Sequence[Epoch], path: Path) -> None:
    """Writes ``epochs.csv``, a row for each epoch, atomically. history: at least one epoch."""
    rows = [epoch.row() for epoch in history]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())
