"""The table of an evaluated part: one row per case."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

from experiments.training.evaluation.scores import Evaluation
from utils.images.cache import ImageCache


def cases_csv(evaluation: Evaluation, cache: ImageCache, groups: Mapping[str, str]) -> str:
    """``cases.csv`` of a run: case, group, label, predicted label, class probabilities, metrics; NaN is empty.

    With the source of each case after the predicted label, where the data are from several.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with_labels = bool(evaluation.cases) and evaluation.cases[0].probabilities.size > 0
    metrics = list(evaluation.cases[0].scores) if evaluation.cases else []
    probabilities = [f"probability_{name}" for name in cache.classes] if with_labels else []
    sources = ["source"] if any(cache.sources) else []
    writer.writerow(["case", "group", "label", "predicted", *sources, *probabilities, *metrics])
    for result in evaluation.cases:
        position = result.position
        predicted = cache.classes[int(result.probabilities.argmax())] if with_labels else ""
        writer.writerow(
            [
                cache.ids[position],
                groups[cache.ids[position]],
                cache.classes[int(cache.labels[position])],
                predicted,
                *([cache.sources[position] or ""] if sources else []),
                *(f"{value:.9g}" for value in result.probabilities),
                *(number(result.scores[name]) for name in metrics),
            ]
        )
    return text.getvalue()


def number(value: float) -> str:
    """A number for a CSV: nine significant digits, empty for NaN."""
    return "" if math.isnan(value) else f"{value:.9g}"
