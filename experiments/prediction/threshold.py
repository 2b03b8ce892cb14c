"""The threshold of the masks, chosen on validation cases; never on the test cases that the leaderboard is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.ledger.record import Record
from experiments.prediction.ensemble import Ensemble, Inference, Prediction
from experiments.prediction.selection import SelectedRun
from utils.datasets.opening import open_dataset
from utils.errors import Problem, UserError
from utils.splits.table import read_split_table

DEFAULT = 0.5
"""Above which a pixel counted as lesion in the scores of the records."""

GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))
_AT_ONCE = 8


@dataclass(frozen=True)
class Threshold:
    """value: above it a pixel is lesion. dice: mean over the validation cases; NaN where it was not chosen on any."""

    value: float
    dice: float = float("nan")
    cases: int = 0


def validation_threshold(
    runs: Sequence[SelectedRun], ensemble: Ensemble, inference: Inference, results: Path
) -> Threshold:
    """The threshold of `GRID` with the highest mean Dice over the validation cases of all runs.

    Every case is answered by the one member in whose validation part it was: the ensemble as a whole has trained on
    most of them. Cases without a lesion have no Dice and no say. Of equal thresholds the one nearest to `DEFAULT`.
    Raises UserError where the data that the runs were trained on are not at hand, or hold no lesion.
    """
    scores = []
    for run, member in zip(runs, ensemble.members, strict=True):
        alone = Ensemble((member,), ensemble.classes, ensemble.device)
        scores += [
            _dice(prediction.probability, mask) for prediction, mask in _validated(run, alone, inference, results)
        ]
    if not scores:
        raise UserError(Problem("--threshold", "no validation case has a lesion to choose the threshold by"))
    means = np.mean(scores, axis=0)
    best = max(range(len(GRID)), key=lambda place: (round(float(means[place]), 9), -abs(GRID[place] - DEFAULT)))
    return Threshold(GRID[best], float(means[best]), len(scores))


def _validated(
    run: SelectedRun, alone: Ensemble, inference: Inference, results: Path
) -> Iterator[tuple[Prediction, np.ndarray]]:
    """The predictions of a run's validation cases that have a lesion, with their masks."""
    record, dataset_settings = run.record, run.settings.dataset
    ids = _validation_cases(record, results)
    dataset = open_dataset(dataset_settings.name, dataset_settings.root, dict(dataset_settings.options))
    cases = {case.id: case for case in dataset.cases()}
    missing = [id for id in ids if id not in cases]
    if missing:
        message = f"{len(missing)} cases that {run.name} was validated on are gone, such as {missing[0]}"
        raise UserError(Problem("dataset", message))
    for start in range(0, len(ids), _AT_ONCE):
        chunk = [cases[id] for id in ids[start : start + _AT_ONCE]]
        try:
            masks = [dataset.read_mask(case).astype(bool) for case in chunk]
            images = [dataset.read_image(case) for case in chunk]
        except (OSError, ValueError) as error:
            raise UserError(Problem("dataset", f"a validation case cannot be read: {error}")) from None
        for prediction, mask in zip(alone.predict_all(images, inference), masks, strict=True):
            if mask.any():
                yield prediction, mask


def _validation_cases(record: Record, results: Path) -> tuple[str, ...]:
    folder = results / "runs" / record.sweep / "splits"
    for name in (f"{record.split}-{record.data}.csv", f"{record.split}.csv"):
        if (folder / name).is_file():
            split, _ = read_split_table(folder / name)
            return next(fold.validation for fold in split.folds if fold.index == record.fold)
    raise UserError(Problem(str(folder), f"the folds {record.split} are not there, and with them what was validation"))


def _dice(probability: np.ndarray, mask: np.ndarray) -> list[float]:
    """At every threshold of `GRID`, of a mask that is not empty."""
    # How many thresholds each pixel is above, counted once in the lesion and once everywhere.
    above = np.searchsorted(np.array(GRID, np.float32), probability.ravel(), side="left")
    drawn = np.bincount(above, minlength=len(GRID) + 1)[::-1].cumsum()[::-1][1:]
    hit = np.bincount(above[mask.ravel()], minlength=len(GRID) + 1)[::-1].cumsum()[::-1][1:]
    return (2 * hit / (drawn + int(mask.sum()))).tolist()
