"""What the winner of a sweep sees in every case, each asked of the one network that has never seen the case.

The network that answers is that of the fold whose test part held the case: a second stage meets in training the same
kind of mistakes as later in use. What the boxes of a fold's training cases may know of its test cases is what any
stacking has: their networks were trained on these. The box of a test case comes from a network that knows none of it.

Written are, in the folder that `experiments.sweep.file.predictions` names: ``masks/<number>.png``, ``dataset.json``,
``folds.csv`` and, when all else is there, ``boxes.csv``. Whoever is killed goes on where he was; two who write at the
same time write the same.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch

from experiments.ledger import Record
from experiments.prediction import Ensemble, Inference, open_ensemble, select_runs
from experiments.prediction.threshold import DEFAULT
from experiments.preparation.survey import StageProgress
from experiments.sweep import Settings, Sweep
from experiments.sweep.file.predictions import FOLDS_FILE, predictions_folder, records_of
from experiments.sweep.file.winners import Winner
from experiments.training.evaluation import NotFiniteError
from utils.datasets import Case, Dataset
from utils.datasets.crops import BOXES_FILE, COLUMNS, DATASET_FILE, boxes_of
from utils.datasets.opening import open_dataset
from utils.errors import Problem, UserError
from utils.files import write_atomically, write_text_atomically
from utils.identity import digest
from utils.images.reading import read_mask
from utils.splits.folds import Split
from utils.splits.table import read_split_table, split_table

MASKS = "masks"
# Together through the network, so that a number does not depend on where somebody was killed.
_AT_ONCE = 8


@dataclass(frozen=True)
class _FirstStage:
    """The winner of a sweep, opened. scores: case id -> the Dice in its record, as text, '' where it has none."""

    winner: Winner
    records: Sequence[Record]
    dataset: Dataset
    cases: Mapping[str, Case]
    split: Split
    groups: Mapping[str, str]
    scores: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        """What it was trained with."""
        return Settings.model_validate(self.winner.settings)

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {case: number for number, case in enumerate(sorted(self.cases))}

    def mask_file(self, case: str) -> str:
        """A case's id may be no name of a file."""
        return f"{self._numbers[case]:06d}.png"

    def group(self, case: str) -> str:
        """What the second stage's folds, which are the first's, must not cut: what was not cut by these."""
        kind = self.settings.folds.group
        if kind == "near_duplicates":
            return self.groups[case]
        return (self.cases[case].group or "") if kind == "patient" else ""


def predictions_of(sweep: Sweep, results: Path) -> dict[str, bool]:
    """Name of each sweep that `sweep` is built upon -> whether its predictions are there."""
    return {one.sweep: (predictions_folder(results, one) / BOXES_FILE).is_file() for one in sweep.predicted}


def predict_out_of_fold(results: Path, winner: Winner, on_progress: StageProgress) -> Path:
    """The folder with the predictions of all cases of a sweep, made where they are not there yet.

    Raises UserError where a case was in no test part, a network cannot be used, or the data are no longer those that
    it was trained on.
    """
    folder = predictions_folder(results, winner)
    if (folder / BOXES_FILE).is_file():
        return folder
    first = _opened(results, winner)
    stage = f"Predicting the cases of {winner.sweep}, each by the network that has not seen it"
    rows: list[tuple[object, ...]] = []
    for fold, ids, masks in _masks(first, results, folder):
        rows += [_row(first, fold, case, mask) for case, mask in zip(ids, masks, strict=True)]
        on_progress(stage, len(rows), len(first.cases))
    _write(folder, first, rows)
    return folder


def _opened(results: Path, winner: Winner) -> _FirstStage:
    """Raises UserError for what cannot be built upon."""
    records = records_of(results, winner.sweep, winner.row["configuration"])
    split, groups = _folds(results, records[0])
    ran, tested = {record.fold for record in records}, {case for fold in split.folds for case in fold.test}
    if missing := [fold.index for fold in split.folds if fold.index not in ran]:
        raise _refusal(winner, f"its folds {', '.join(map(str, missing))} have no complete run")
    if untested := sorted(set(groups) - tested):
        message = f"{len(untested)} of its cases are in no test part, such as {untested[0]!r}: nobody may predict them"
        raise _refusal(winner, message)
    settings = Settings.model_validate(winner.settings).dataset
    dataset = open_dataset(settings.name, settings.root, dict(settings.options))
    cases = {case.id: case for case in dataset.cases() if case.id in groups}
    try:
        contents = {id: dataset.content(case) for id, case in cases.items()}
    except OSError as error:
        raise _refusal(winner, f"its data cannot be read: {error}") from None
    if digest({"classes": list(dataset.classes), "cases": contents}) != records[0].data:
        raise _refusal(winner, "its data are no longer those that it was trained on; give its command again first")
    scores = {row["case"]: row["dice"] for record in records for row in _cases(results, winner, record)}
    return _FirstStage(winner, records, dataset, cases, split, groups, scores)


def _masks(
    first: _FirstStage, results: Path, folder: Path
) -> Iterator[tuple[int, Sequence[str], Sequence[np.ndarray]]]:
    """Fold, cases of its test part, and their masks, bool (height, width); what is not in the folder yet is made."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for fold in first.split.folds:
        network: Ensemble | None = None
        for start in range(0, len(fold.test), _AT_ONCE):
            ids = fold.test[start : start + _AT_ONCE]
            paths = [folder / MASKS / first.mask_file(case) for case in ids]
            masks = _kept(paths)
            if masks is None:
                network = network or _network(first.winner, results, fold.index, device)
                masks = _predicted(first, network, ids)
                for path, mask in zip(paths, masks, strict=True):
                    _write_mask(path, mask)
            yield fold.index, ids, masks


def _network(winner: Winner, results: Path, fold: int, device: torch.device) -> Ensemble:
    """The one network that has not seen what a fold tests."""
    run = f"{winner.row['configuration']}/fold-{fold}"
    return open_ensemble(select_runs(results, winner.sweep, run), device)


def _predicted(first: _FirstStage, network: Ensemble, ids: Sequence[str]) -> list[np.ndarray]:
    try:
        images = [first.dataset.read_image(first.cases[id]) for id in ids]
        return [each.probability > DEFAULT for each in network.predict_all(images, Inference())]
    except (OSError, ValueError, NotFiniteError) as error:
        raise _refusal(first.winner, f"a case cannot be predicted: {error}") from None


def _row(first: _FirstStage, fold: int, case: str, mask: np.ndarray) -> tuple[object, ...]:
    """Of ``boxes.csv``."""
    height, width = mask.shape
    told = (fold, first.mask_file(case), first.scores[case])
    return (case, first.group(case), height, width, *_boxes(mask), *told)


def _boxes(mask: np.ndarray) -> tuple[str, str]:
    """The boxes around all of a mask and around its largest connected part, as text; '' for an empty mask."""
    found = boxes_of(mask)
    return ("", "") if found is None else (str(found[0]), str(found[1]))


def _kept(paths: Sequence[Path]) -> list[np.ndarray] | None:
    """The masks in these files; None unless all of them are there."""
    try:
        return [read_mask(path).astype(bool) for path in paths]
    except OSError:
        return None


def _write_mask(path: Path, mask: np.ndarray) -> None:
    _, encoded = cv2.imencode(".png", mask.astype(np.uint8) * 255)
    write_atomically(path, lambda file: file.write(encoded.tobytes()))


def _write(folder: Path, first: _FirstStage, rows: Sequence[tuple[object, ...]]) -> None:
    """The tables, ``boxes.csv`` last: where it is, all is."""
    dataset = first.settings.dataset.model_dump(mode="json", include={"name", "root", "options"})
    write_text_atomically(folder / DATASET_FILE, json.dumps(dataset, indent=1, ensure_ascii=False) + "\n")
    write_text_atomically(folder / FOLDS_FILE, split_table(first.split, first.groups))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "fold", "mask", "dice"])
    ordered = sorted(rows, key=lambda row: str(row[0]))
    writer.writerows(ordered)
    write_text_atomically(folder / BOXES_FILE, text.getvalue(), durable=True)


def _folds(results: Path, record: Record) -> tuple[Split, dict[str, str]]:
    folder = results / "runs" / record.sweep / "splits"
    for name in (f"{record.split}-{record.data}.csv", f"{record.split}.csv"):
        if (folder / name).is_file():
            return read_split_table(folder / name)
    raise UserError(Problem(str(folder), f"the folds {record.split} of {record.sweep} are not there; run it again"))


def _cases(results: Path, winner: Winner, record: Record) -> Iterator[dict[str, str]]:
    path = results / "runs" / winner.sweep / record.configuration / f"fold-{record.fold}" / "cases.csv"
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _refusal(winner: Winner, message: str) -> UserError:
    return UserError(Problem(f"the winner of {winner.sweep}", message))
