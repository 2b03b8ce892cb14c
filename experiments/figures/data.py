"""What figures are drawn from: a leaderboard, the files of its runs and, if they are at hand, images and networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.accounting.balance import Balance
from experiments.leaderboard import Leaderboard
from experiments.leaderboard.cases import RunCases, read_cases
from experiments.leaderboard.line import Line
from utils.images.cache import ImageCache
from utils.metrics import METRICS, FoldPredictions, Metric

Predict = Callable[[str, int, Sequence[int]], Sequence[np.ndarray]]
"""(configuration id, fold, positions in its cache) -> probability maps, float (height, width) of the original image."""


class CannotDrawError(Exception):
    """A sweep has not what a figure shows; the text says what is missing, for the reader of the report."""


def _no_cache(configuration: str) -> None:
    """No images are at hand."""


@dataclass(frozen=True)
class FigureData:
    """One sweep, as figures see it.

    folder: where the ledger keeps a run's files, by (configuration id, fold).
    cache: the images that a configuration was trained on, by its id; None where they are not at hand.
    predict: a trained network's answers; None where networks cannot be opened. balance: of the sweep's slot time; None
    where no session was noted.
    """

    leaderboard: Leaderboard
    folder: Callable[[str, int], Path]
    cache: Callable[[str], ImageCache | None] = _no_cache
    predict: Predict | None = None
    balance: Balance | None = None

    @property
    def sweep(self) -> str:
        """The sweep's name."""
        return self.leaderboard.sweep

    @property
    def objective(self) -> Metric:
        """What rows are ranked by."""
        return METRICS[self.leaderboard.objective]

    @property
    def sign(self) -> int:
        """+1 if a higher objective ranks higher, else -1."""
        return 1 if self.leaderboard.direction == "max" else -1

    @property
    def case_metric(self) -> Metric:
        """The objective, or Dice where the objective is one of whole folds."""
        return self.objective if self.objective.kind == "case" else METRICS["dice"]

    @property
    def case_sign(self) -> int:
        """+1 if a higher `case_metric` is better, else -1."""
        return self.sign if self.objective.kind == "case" else self.case_metric.sign

    def ranked(self) -> list[Line]:
        """The complete rows, best first. Raises CannotDrawError if there is none."""
        lines = [line for line in self.leaderboard.ranked() if line.rank is not None]
        if not lines:
            raise CannotDrawError("no configuration has finished all its folds with a score")
        return lines

    def best(self) -> Line:
        """The row of rank 1. Raises CannotDrawError if no row is ranked."""
        return self.ranked()[0]

    def runs(self, line: Line) -> list[RunCases]:
        """The test cases of a complete row, fold by fold."""
        return [read_cases(self.folder(line.entry.id, fold) / "cases.csv") for fold in line.entry.folds]

    def case_scores(self, line: Line) -> tuple[CaseScore, ...]:
        """Every test case of a complete row that `case_metric` is defined for, fold by fold.

        Raises CannotDrawError if there is none.
        """
        metric = self.case_metric.name
        found = []
        for fold, run in zip(line.entry.folds, self.runs(line), strict=True):
            if metric in run.sample.case_metrics:
                values = run.sample.case_values[:, run.sample.case_metrics.index(metric)]
                found += [
                    CaseScore(id, fold, float(value))
                    for id, value in zip(run.ids, values, strict=True)
                    if value == value
                ]
        if not found:
            raise CannotDrawError(f"no test case has a value of {metric}")
        return tuple(found)

    def predictions(self, line: Line) -> FoldPredictions:
        """Labels and class probabilities of a complete row's test cases, all folds pooled.

        Raises CannotDrawError for a network without a classification head.
        """
        folds = [run.sample.predictions for run in self.runs(line)]
        found = [fold for fold in folds if fold is not None and fold.labels.size]
        if not found:
            raise CannotDrawError(f"{line.entry.name} has no classification head, or no test case")
        labels = np.concatenate([fold.labels for fold in found])
        probabilities = np.concatenate([fold.probabilities for fold in found])
        return FoldPredictions.of(labels, probabilities, found[0].classes)

    def images(self, line: Line) -> ImageCache:
        """The images of a row. Raises CannotDrawError where they are not at hand."""
        cache = self.cache(line.entry.id)
        if cache is None:
            raise CannotDrawError("the images of the data set are not at hand")
        return cache


@dataclass(frozen=True)
class CaseScore:
    """A test case by its id, the fold that tested it, and its score."""

    case: str
    fold: int
    score: float
