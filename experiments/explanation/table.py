"""``explanations.csv``: what was looked at in each case, in numbers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.explanation.activation import Aim
from experiments.explanation.explanation import Explanation, energy_inside
from utils.files import write_text_atomically
from utils.metrics import mean_over_cases

FILE = "explanations.csv"


@dataclass(frozen=True)
class Row:
    """One case. Empty where there is nothing to say.

    label, predicted: the true diagnosis and the one that was made, with its probability. lesion: whether the true mask
    or, without one, the predicted mask stands for it; ``none`` where that is empty. lesion_share: of the image, what
    an activation that knows nothing would have inside. diagnosis_inside, segmentation_inside: the share of the
    activation's sum inside the lesion. networks: the runs that were asked. error: why the case is not explained.
    """

    case: str
    label: str
    predicted: str = ""
    probability: float = math.nan
    lesion: Literal["truth", "prediction", "none", ""] = ""
    lesion_share: float = math.nan
    diagnosis_inside: float = math.nan
    segmentation_inside: float = math.nan
    method: str = ""
    layers: str = ""
    networks: str = ""
    error: str = ""

    @property
    def sheet(self) -> str:
        """The class on whose sheet the case is: the true one or, where that is not known, the predicted one."""
        return self.label or self.predicted or "images"


def measured(explanation: Explanation, truth: np.ndarray | None, classes: Sequence[str]) -> dict[str, object]:
    """The cells of `Row` that say what was found. truth: boolean (H, W), or None."""
    lesion = explanation.mask if truth is None else truth
    cells: dict[str, object] = {
        "lesion": ("prediction" if truth is None else "truth") if lesion.any() else "none",
        "lesion_share": float(lesion.mean()),
        "diagnosis_inside": _inside(explanation, "diagnosis", lesion),
        "segmentation_inside": _inside(explanation, "segmentation", lesion),
    }
    said = explanation.prediction.classes
    if said.size:
        best = int(said.argmax())
        cells |= {"predicted": classes[best], "probability": float(said[best])}
    return cells


def write(folder: Path, rows: Sequence[Row]) -> None:
    """All rows in their order, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows([_cell(value) for value in asdict(row).values()] for row in rows)
    write_text_atomically(folder / FILE, text.getvalue())


def summary(rows: Sequence[Row]) -> list[str]:
    """A line for each class: the means over its cases with a lesion, beside what no knowledge would give."""
    lines = []
    for name in sorted({row.sheet for row in rows if not row.error}):
        cases = [row for row in rows if row.sheet == name and not row.error]
        told = [
            text
            for text in (
                _mean_inside("diagnosis", cases, [row.diagnosis_inside for row in cases]),
                _mean_inside("segmentation", cases, [row.segmentation_inside for row in cases]),
            )
            if text
        ]
        lines.append(f"{name} ({len(cases)}): {'; '.join(told) or 'no case with a lesion and an activation'}")
    return lines


def _mean_inside(aim: Aim, rows: Sequence[Row], inside: Sequence[float]) -> str:
    """'' where no case has a value. The area is that of the very cases that the mean is over."""
    areas = [row.lesion_share for row, value in zip(rows, inside, strict=True) if not math.isnan(value)]
    if not areas:
        return ""
    mean, area = mean_over_cases(inside), mean_over_cases(areas)
    return f"{aim} {100 * mean:.1f} % inside {100 * area:.1f} % of the area, {len(areas)} of them"


def _inside(explanation: Explanation, aim: Aim, lesion: np.ndarray) -> float:
    return energy_inside(explanation.activation[aim], lesion) if aim in explanation.activation else math.nan


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
