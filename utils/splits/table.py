"""The split as a file between driver and workers: every case of every fold, with its part and its group.

It has the columns that `folds: {from: ...}` reads, so that a sweep's split can be the next one's.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from utils.splits.folds import PARTS, Fold, Split


def split_table(split: Split, groups: Mapping[str, str]) -> str:
    """CSV with the columns case, fold, part, group. groups: case id -> group id."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "fold", "part", "group"])
    for fold in split.folds:
        rows = [(case, fold.index, part, groups[case]) for part, cases in fold.parts().items() for case in cases]
        writer.writerows(sorted(rows))
    return text.getvalue()


def read_split_table(path: Path) -> tuple[Split, dict[str, str]]:
    """What `split_table` wrote: the split, and case id -> group id."""
    parts: defaultdict[int, dict[str, list[str]]] = defaultdict(lambda: {part: [] for part in PARTS})
    groups = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            parts[int(row["fold"])][row["part"]].append(row["case"])
            groups[row["case"]] = row["group"]
    folds = [
        Fold(index, **{part: tuple(sorted(cases)) for part, cases in parts[index].items()}) for index in sorted(parts)
    ]
    return Split(tuple(folds)), groups
