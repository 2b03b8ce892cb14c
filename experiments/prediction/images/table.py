"""``predictions.csv``: one row per image, the memory of what is done."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.files import write_text_atomically
from utils.metrics import metric_names

FILE = "predictions.csv"

_FACTS = ("lesion_pixels", "components", "largest_component", "uncertainty", "threshold", "clip_limit")
_ORIGIN = ("members", "made_by", "image_sha256", "truth", "error")
"""made_by: a hash of networks and options. truth: a hash of the mask files. error: why there is no prediction."""

Row = dict[str, str]


@dataclass(frozen=True)
class PredictionTable:
    """Its columns, and how it is read and written.

    classes: the diagnoses. Without any, the columns of the diagnosis are empty or not there.
    """

    classes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """In their order; the metrics of cases are empty where there is no truth."""
        probabilities = [f"probability_{name}" for name in self.classes]
        return ("image", "predicted", *probabilities, *_FACTS, *metric_names("case"), *_ORIGIN)

    def read(self, folder: Path) -> dict[str, Row]:
        """Name of the image -> row. Of a table with other columns, or a damaged one, nothing is known."""
        try:
            with (folder / FILE).open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, strict=True)
                rows = list(reader)
        except (OSError, UnicodeDecodeError, csv.Error):
            return {}
        if tuple(reader.fieldnames or ()) != self.columns or any(None in row.values() for row in rows):
            return {}
        return {row["image"]: row for row in rows}

    def write(self, folder: Path, rows: Mapping[str, Row]) -> None:
        """All rows, sorted by image, atomically."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))
        write_text_atomically(folder / FILE, text.getvalue())

    def probabilities(self, values: Sequence[float]) -> Row:
        """The cells of a diagnosis."""
        if not len(values):
            return {}
        best = max(range(len(values)), key=lambda place: values[place])
        cells = {f"probability_{name}": f"{value:.6g}" for name, value in zip(self.classes, values, strict=True)}
        return {"predicted": self.classes[best], **cells}
