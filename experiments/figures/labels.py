"""What things are called in figures: metrics with their units, and configurations in the room that there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from experiments.leaderboard.line import Line
from utils.metrics import Metric

LONGEST_NAME = 28

_SHORTEST_PART = 5

_WRITTEN = {
    "iou": "IoU",
    "hd95": "HD95",
    "assd": "ASSD",
    "nsd": "NSD",
    "pq": "PQ",
    "sq": "SQ",
    "rq": "RQ",
    "aji": "AJI",
    "aji_plus": "AJI+",
    "macro_f1": "Macro F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ece": "ECE",
    "brier": "Brier score",
}


def metric_name(metric: Metric) -> str:
    """A metric as the field writes it."""
    return _WRITTEN.get(metric.name, metric.name.replace("_", " ").capitalize())


def metric_label(metric: Metric) -> str:
    """The label of an axis: the metric and its unit."""
    return f"{metric_name(metric)} ({metric.unit})" if metric.unit else metric_name(metric)


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """The name in at most `longest` characters, an ellipsis for what is left out.

    Of several settings, ``resnet50, unet, 0.001``, the longest is shortened first: a few letters of each say more
    than one of them in full.
    """
    name = " ".join(name.split())
    parts = name.split(", ")
    widths = [len(part) for part in parts]
    while sum(widths) + 2 * (len(parts) - 1) > longest:
        widest = widths.index(max(widths))
        if widths[widest] <= _SHORTEST_PART:
            return _cut(name, longest)
        widths[widest] -= 1
    return ", ".join(_cut(part, width) for part, width in zip(parts, widths, strict=True))


def _cut(text: str, longest: int) -> str:
    """The text with its middle left out if it is too long: ``resnet101`` and ``resnet152`` differ at their ends."""
    if len(text) <= longest:
        return text
    head = longest // 2
    return f"{text[:head]}…{text[len(text) - (longest - 1 - head) :]}"


def names_of(lines: Sequence[Line], longest: int = LONGEST_NAME) -> list[str]:
    """Short names of configurations; those that shortening makes equal carry their ranks."""
    short = [shorten(line.entry.name, longest) for line in lines]
    count = Counter(short)
    return [
        name if count[name] == 1 else f"#{line.rank} {shorten(line.entry.name, longest - 5)}"
        for line, name in zip(lines, short, strict=True)
    ]


def columns_of(labels: Sequence[str]) -> int:
    """In how many columns a legend fits below a figure: each takes its longest label and a mark."""
    return max(1, min(3, len(labels), 78 // (max(map(len, labels), default=0) + 6)))
