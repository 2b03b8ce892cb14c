"""The field of a race: a sweep's configurations, and what the ledger has of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.leaderboard.cases import read_cases
from experiments.ledger.record import Record
from experiments.racing.marshal import Marshal
from experiments.racing.race import Race
from experiments.racing.rules import FoldScores, Rules, Run, Stop, rungs_of
from utils.metrics import METRICS


class Field:
    """Feeds a race from the ledger.

    configurations: ids and numbers of folds; all were tested on the same cases. metric, mode: the objective.
    epochs: of the shortest training, for the rungs of halving. folder: where the ledger keeps a run's files.
    """

    def __init__(
        self,
        configurations: Sequence[tuple[str, int]],
        metric: str,
        mode: Literal["max", "min"],
        rules: Rules,
        epochs: int,
        folder: Callable[[str, int], Path],
    ) -> None:
        self._metric, self._sign, self._folder = metric, 1 if mode == "max" else -1, folder
        folds = max((folds for _, folds in configurations), default=0)
        self.race = Race([one for one, _ in configurations], folds, rules, rungs_of(epochs))
        self.marshal = Marshal(self.race)

    @property
    def stopped(self) -> Mapping[str, Stop]:
        """Configurations that have been stopped; the same mapping changes while the race goes on."""
        return self.race.stopped

    def fill(self, records: Mapping[Run, Record]) -> None:
        """Takes in what there is: the records of runs that have ended, and how far others have come."""
        for run, record in records.items():
            self.ended(run, record)
        for configuration in self.race.configurations if self.race.rungs else ():
            if (configuration, 0) not in records:
                self.reached(configuration)

    def ended(self, run: Run, record: Record) -> None:
        """A run has its record."""
        if record.status == "failed":
            self.race.enter(run, None)
            return
        if run[1] == 0 and self.race.rungs:
            self.reached(run[0], ended=True)
        value = record.metrics.get(self._metric)
        scores = FoldScores(math.nan if value is None else self._sign * value, *self._cases(run))
        self.race.enter(run, scores)

    def reached(self, configuration: str, ended: bool = False) -> None:
        """A run of fold 0 has come as far as its table of epochs says. ended: it will come no further."""
        scores = self._validation(configuration)
        for rung in self.race.rungs:
            if ended or len(scores) >= rung:
                self.race.reach(configuration, rung, float(np.fmax.reduce(scores[:rung], initial=-math.inf)))

    def _cases(self, run: Run) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Scores and groups of the cases; None for an objective of whole folds."""
        if METRICS[self._metric].kind != "case":
            return None, None
        sample = read_cases(self._folder(*run) / "cases.csv", self._metric).sample
        return self._sign * sample.case_values[:, sample.case_metrics.index(self._metric)], sample.groups

    def _validation(self, configuration: str) -> np.ndarray:
        """The validation objective of each epoch of fold 0 so far; NaN where undefined."""
        column = f"validation_{self._metric}"
        try:
            with (self._folder(configuration, 0) / "epochs.csv").open(newline="", encoding="utf-8") as file:
                cells = [row.get(column) for row in csv.DictReader(file)]
        except FileNotFoundError:
            return np.empty(0)
        return self._sign * np.array([float(cell) if cell else math.nan for cell in cells])
