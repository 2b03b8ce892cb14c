"""The ``cases.csv`` of a finished run, read back as arrays."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
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


def read_cases(path: Path, metric: str | None = None) -> RunCases:
    """Reads ``case, group, label, predicted, <probability_CLASS...>, <metric...>``; an empty cell is NaN.

    metric: the only per-case metric that is wanted; predictions are then left out as well.
    Raises ValueError if the table is not of that form.
    """
    header, rows = _cells(path, metric)
    if header[:4] != ["case", "group", "label", "predicted"]:
        raise ValueError(f"{path} is no table of cases: {header}")
    columns: dict[str, tuple[str, ...]] = dict.fromkeys(header, ())
    if rows:
        # Rows may have been read as far as they are wanted.
        columns = dict(zip(header, zip(*rows, strict=True), strict=metric is None))
    groups = columns["group"]
    number_of = {name: number for number, name in enumerate(sorted(set(groups)))}
    codes = np.array([number_of[name] for name in groups], dtype=np.int64)
    metrics = tuple(name for name in metric_names("case") if name in columns and metric in (None, name))
    values = np.array([_numbers(columns[name]) for name in metrics]).reshape(len(metrics), len(rows)).T
    predictions = _predictions(path, columns) if metric is None else None
    return RunCases(columns["case"], groups, FoldSample(codes, metrics, values, predictions))


def _cells(path: Path, metric: str | None) -> tuple[list[str], Sequence[Sequence[str]]]:
    """Header and rows; with a metric, rows as far as its column. Thousands of tables without a quote are split: parsing
    them takes three times as long.
    """
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
    if '"' in text or "\r" in text:
        header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
        return header, rows
    first, *lines = text.rstrip("\n").split("\n")
    header = first.split(",")
    cut = header.index(metric) + 1 if metric in header else -1
    return header, [line.split(",", cut)[: cut if cut > 0 else None] for line in lines]


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


def _numbers(cells: Sequence[str]) -> np.ndarray:
    return np.array([float(text) if text else np.nan for text in cells], dtype=np.float64)
