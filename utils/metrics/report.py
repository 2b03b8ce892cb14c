"""The diagnosis class by class: what macro means hide."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.metrics.classification import mean_over_classes, quotient
from utils.metrics.metric import FoldPredictions


@dataclass(frozen=True)
class ClassScores:
    """One line of a report: a class, or a mean over classes.

    precision: right ones of the cases given this class, 0 if none was. recall: right ones of the
    class's cases. f1: their harmonic mean. All in [0, 1]. support: cases. A class without a case has
    no recall and no F1 (NaN).
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassificationReport:
    """classes: one line for each, in their order. macro: the unweighted mean of those that have cases.
    weighted: their mean weighted by cases. accuracy: in [0, 1]. confusion: (C, C) counts, true class
    in rows, predicted class in columns. Without any case all scores are NaN but precisions, 0.
    """

    classes: tuple[ClassScores, ...]
    macro: ClassScores
    weighted: ClassScores
    accuracy: float
    confusion: np.ndarray

    def as_text(self) -> str:
        """Two tables in a fixed-width font: scores by class, and the confusion matrix."""
        names = [line.name for line in self.classes]
        width = max(map(len, [*names, "weighted mean"]))
        lines = [f"{'':{width}}  precision  recall      f1  cases"]
        lines += [_line(scores, width) for scores in self.classes]
        lines += ["", _line(self.macro, width), _line(self.weighted, width)]
        lines += [f"{'accuracy':{width}}  {'':9}  {'':6}  {_cell(self.accuracy):>6}  {self.macro.support:>5}"]
        columns = [max(len(name), 5) for name in names]
        header = "  ".join(f"{name:>{column}}" for name, column in zip(names, columns, strict=True))
        lines += ["", f"{'true / given':{width}}  {header}"]
        for name, counts in zip(names, self.confusion, strict=True):
            cells = "  ".join(f"{count:>{column}}" for count, column in zip(counts, columns, strict=True))
            lines.append(f"{name:{width}}  {cells}")
        return "\n".join(line.rstrip() for line in lines) + "\n"


def classification_report(fold: FoldPredictions) -> ClassificationReport:
    """Precision, recall, F1 and cases of each class, their means, and the confusion matrix.

    As scikit-learn's report, but that a class without a case takes no part in the macro mean.
    """
    confusion = fold.confusion
    hits, cases, given = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision = np.nan_to_num(quotient(hits, given))
    recall = quotient(hits, cases)
    f1 = np.where(cases > 0, quotient(2 * hits, cases + given), np.nan)
    scores = np.stack([precision, recall, f1])
    present = np.where(cases > 0, scores, np.nan)
    weighted = quotient(np.nan_to_num(present) @ cases, cases.sum())
    total = cases.sum()
    return ClassificationReport(
        classes=tuple(_scores(name, scores[:, column], cases[column]) for column, name in enumerate(fold.classes)),
        macro=_scores("macro mean", mean_over_classes(present), total),
        weighted=_scores("weighted mean", weighted, total),
        accuracy=float(quotient(hits.sum(), total)),
        confusion=confusion,
    )


def _scores(name: str, scores: np.ndarray, support: int) -> ClassScores:
    precision, recall, f1 = map(float, scores)
    return ClassScores(name, precision, recall, f1, int(support))


def _line(scores: ClassScores, width: int) -> str:
    numbers = f"{_cell(scores.precision):>9}  {_cell(scores.recall):>6}  {_cell(scores.f1):>6}"
    return f"{scores.name:{width}}  {numbers}  {scores.support:>5}"


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
