"""What both stages are worth together: the second's masks put back into the whole images.

Within its crop a second stage may be praised for a lesion half of which the first has cut off. Here every pixel of the
uncut reference counts, and a lesion that the crop has missed scores 0. It follows from the records: of two masks with
known Dice and sensitivity, and a reference of known area, all areas are known, which are whole numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from experiments.opened import OpenedSweep
from experiments.preparation import PlannedConfiguration
from utils.datasets.crops import BOXES_FILE, Crops
from utils.datasets.files.table import read_table
from utils.files import write_text_atomically

COLUMNS = (
    *("configuration", "fold", "case", "group", "label", "box", "found"),
    *("first_stage_dice", "crop_dice", "cascade_dice"),
)


class Areas(NamedTuple):
    """Pixels of a case's reference, in its crop and in the whole image."""

    crop: int
    whole: int


class Row(NamedTuple):
    """A case of a run, in the order of `COLUMNS`. Dice is None where the whole image has no lesion."""

    configuration: str
    fold: int
    case: str
    group: str
    label: str
    box: str
    found: bool
    first: float | None
    crop: float | None
    cascade: float | None


@dataclass(frozen=True)
class Cascade:
    """The cases of every complete run of a second stage, configuration by configuration."""

    rows: tuple[Row, ...]

    def to_csv(self) -> str:
        """``<sweep>_cascade.csv``: an empty cell is a Dice that is not defined."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            scores = ["" if score is None else f"{score:.9g}" for score in (row.first, row.crop, row.cascade)]
            writer.writerow([*row[:6], "true" if row.found else "false", *scores])
        return text.getvalue()

    def sentence(self, configuration: str, name: str) -> str:
        """How one configuration does beside the first stage alone; '' where no case has both scores.

        Means of fold means, over the same cases: those with a lesion.
        """
        rows = [row for row in self.rows if row.configuration == configuration and row.cascade is not None]
        if not rows or any(row.first is None for row in rows):
            return ""
        folds = sorted({row.fold for row in rows})
        first, both = (
            fmean(fmean(float(score(row) or 0) for row in rows if row.fold == fold) for fold in folds)
            for score in (lambda row: row.first, lambda row: row.cascade)
        )
        missed = sum(row.crop is None for row in rows)
        cut = f"; {missed} crops hold nothing of their lesion and score 0" if missed else ""
        told = f"In the whole images the cascade with {name} reaches a Dice of {both:.4f}"
        return f"{told}, its first stage alone {first:.4f} ({len(rows)} cases with a lesion{cut})"


def cascade_of(opened: OpenedSweep) -> Cascade:
    """The rows of all complete runs on crops. Raises OSError where a mask cannot be read."""
    known: dict[int, _Crops] = {}
    rows: list[Row] = []
    for planned in opened.planned:
        dataset = planned.source.dataset
        if isinstance(dataset, Crops):
            crops = known.setdefault(id(dataset), _Crops(dataset))
            rows += _rows(opened, planned, crops)
    return Cascade(tuple(rows))


def write_cascade(opened: OpenedSweep) -> str:
    """Writes ``<sweep>_cascade.csv``; returns a sentence on the best configuration, '' where nothing can be said."""
    cascade = cascade_of(opened)
    if not cascade.rows:
        return ""
    write_text_atomically(opened.results / f"{opened.sweep.name}_cascade.csv", cascade.to_csv())
    best = opened.leaderboard.ranked()[0]
    return "" if best.rank is None else cascade.sentence(best.entry.id, best.entry.name)


def cascade_dice(crop: float, sensitivity: float, areas: Areas) -> float | None:
    """Dice in the whole image of a mask that lies in the crop, from its Dice and its sensitivity there.

    crop, sensitivity: 0 to 1; anything where the crop has no reference. None where the whole image has none.
    """
    if areas.whole == 0:
        return None
    hit = round(sensitivity * areas.crop) if areas.crop else 0
    if hit == 0:
        return 0.0
    drawn = round(2 * hit / crop) - areas.crop
    return 2 * hit / (drawn + areas.whole)


class _Crops:
    """A dataset of crops with what its cases are in the whole images; masks are read once."""

    def __init__(self, dataset: Crops) -> None:
        assert dataset.root is not None, "it has been opened"
        self.dataset = dataset
        self.cases = {case.id: case for case in dataset.cases()}
        self.first = {row["case"]: row["dice"] for row in read_table(dataset.root / BOXES_FILE, ["case"])}
        self._areas: dict[str, Areas] = {}

    def areas(self, case: str) -> Areas:
        """Of the reference of a case."""
        if case not in self._areas:
            whole = self.dataset.read_whole_mask(self.cases[case])
            inside = self.dataset.box(self.cases[case]).cut(whole)
            self._areas[case] = Areas(int(inside.sum()), int(whole.sum()))
        return self._areas[case]


def _rows(opened: OpenedSweep, planned: PlannedConfiguration, crops: _Crops) -> Iterator[Row]:
    for fold in range(planned.folds):
        record = opened.records.get((planned.id, fold))
        if record is None or record.status != "complete":
            continue
        with (opened.ledger.folder(planned.id, fold) / "cases.csv").open(newline="", encoding="utf-8") as file:
            for told in csv.DictReader(file):
                yield _row(planned.id, fold, told, crops)


def _row(configuration: str, fold: int, told: Mapping[str, str], crops: _Crops) -> Row:
    id = told["case"]
    case, areas = crops.cases[id], crops.areas(id)
    crop = _number(told["dice"])
    both = cascade_dice(crop or 0.0, _number(told["sensitivity"]) or 0.0, areas)
    first = _number(crops.first[id]) if areas.whole else None
    box, found = str(crops.dataset.box(case)), crops.dataset.found(case)
    return Row(configuration, fold, id, told["group"], told["label"], box, found, first, crop, both)


def _number(text: str) -> float | None:
    return float(text) if text else None
