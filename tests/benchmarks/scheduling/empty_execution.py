"""What workers execute in `overhead`: a run without training, in a process that has imported what training needs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import segmentation_models_pytorch  # noqa: F401
import torch

from experiments.ledger.lock import RunLock
from experiments.ledger.record import CHECKPOINT, TABLES, Record, commit, seal
from experiments.training.spec import RunSpec
from utils.files import write_text_atomically
from utils.splits.table import read_split_table


@dataclass(frozen=True)
class Ended:
    """What a step of `EmptyExecution` answers: the form of `experiments.training.execution.Progress`."""

    epoch: int = 1
    epochs: int = 1
    objective: float | None = None
    ended: bool = True


class EmptyExecution:
    """In the place of `experiments.training.execution.Execution`: no training, everything else.

    It takes the run's lock, writes epochs.csv, cases.csv (a row for each test
    case of the fold, with scores drawn from the run's seed) and best.pt, and commits a record that seals them.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec, self.started = spec, _now()
        self._lock = RunLock(spec.folder)

    def step(self) -> Ended:
        """The whole run."""
        spec, folder = self.spec, self.spec.folder
        self._lock.acquire()
        split, groups = read_split_table(spec.split_file)
        table, metrics = _scores(spec.seed, split.folds[spec.fold].test, groups)
        write_text_atomically(folder / "cases.csv", table)
        write_text_atomically(folder / "epochs.csv", f"epoch,train_loss,validation_dice\n1,1,{metrics['dice']}\n")
        torch.save({"network": {}}, folder / CHECKPOINT)
        files = {name: seal(folder / name) for name in (*TABLES, CHECKPOINT)}
        record = Record(
            sweep=spec.sweep,
            configuration=spec.configuration,
            fold=spec.fold,
            status="complete",
            metrics=metrics,
            best_epoch=1,
            epochs=1,
            code=spec.code,
            data=spec.data,
            split=spec.split,
            seed=spec.seed,
            device=spec.device,
            settings=dict(spec.settings),
            started=self.started,
            finished=_now(),
            files=files,
        )
        commit(record, folder)
        self.close()
        return Ended()

    def close(self) -> None:
        """Gives the run's lock back; safe to call twice."""
        self._lock.release()


def _scores(seed: int, cases: Sequence[str], groups: dict[str, str]) -> tuple[str, dict[str, float | None]]:
    """A ``cases.csv`` with scores made up for each case, and their means."""
    draw = np.random.default_rng(seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "group", "label", "predicted", "probability_benign", "probability_normal", "dice", "iou"])
    values = []
    for case in cases:
        dice, probability = draw.uniform(0.5, 1), draw.uniform()
        label = "benign" if draw.uniform() < 0.5 else "normal"
        predicted = "benign" if probability > 0.5 else "normal"
        values.append((dice, dice / (2 - dice)))
        writer.writerow([case, groups[case], label, predicted, probability, 1 - probability, *values[-1]])
    dice_mean, iou_mean = np.mean(values, axis=0).tolist()
    return text.getvalue(), {"dice": dice_mean, "iou": iou_mean}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
