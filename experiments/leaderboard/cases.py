"""The ``cases.csv`` of a finished run, read back as arrays."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.statistics import FoldSample
from utils.metrics import FoldPredictions, metric_names


@dataclass(frozen=True)
class RunCases:
    """The test cases of one run.

    ids, groups: (N,) names. sample: the same cases as numbers; its group numbers follow the sorted
    group names, so that runs on one fold number their groups alike.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    sample: FoldSample


def read_cases(path: Path) -> RunCases:
    """Reads ``case, group, label, predicted, <probability_CLASS...>, <metric...>``; an empty cell is NaN.

    Raises ValueError if the table is not of that form.
    """
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if header[:4] != ["case", "group", "label", "predicted"]:
        raise ValueError(f"{path} is no table of cases: {header}")
    columns: dict[str, tuple[str, ...]] = dict.fromkeys(header, ())
    if rows:
        columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    groups = columns["group"]
    _, codes = np.unique(np.array(groups, dtype=str), return_inverse=True)
    metrics = tuple(name for name in metric_names("case") if name in columns)
    values = np.array([_numbers(columns[name]) for name in metrics]).reshape(len(metrics), len(rows)).T
    return RunCases(columns["case"], groups, FoldSample(codes, metrics, values, _predictions(path, columns)))


def _predictions(path: Path, columns: dict[str, tuple[str, ...]]) -> FoldPredictions | None:
    """Labels and probabilities; None for a run without diagnosis."""
    prefix = "probability_"
    classes = tuple(name.removeprefix(prefix) for name in columns if name.startswith(prefix))
    labels = columns["label"]
    if not classes:
        return None
    unknown = set(labels) - set(classes)
    if unknown:
        raise ValueError(f"{path} has labels without a probability: {sorted(unknown)}")
    numbers = np.array([classes.index(label) for label in labels], dtype=np.int64)
    probabilities = np.stack([_numbers(columns[prefix + name]) for name in classes], axis=1)
    return FoldPredictions.of(numbers, probabilities, classes)


def _numbers(cells: tuple[str, ...]) -> np.ndarray:
    return np.array([float(text) if text else np.nan for text in cells], dtype=np.float64)
