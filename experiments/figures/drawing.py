"""All figures of a sweep, in the order in which they are read. A new one is a function, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from experiments.figures.cases.histogram import dice_histogram
from experiments.figures.cases.lesion_size import score_by_size
from experiments.figures.cases.sheet import overlays
from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.diagnosis.confusion import confusion
from experiments.figures.diagnosis.curves import precision_recall, roc
from experiments.figures.diagnosis.reliability import reliability
from experiments.figures.figure import Drawing, Figure, Omitted
from experiments.figures.style import styled
from experiments.figures.table.cost import cost
from experiments.figures.table.critical_difference import critical_difference
from experiments.figures.table.leaderboard import leaderboard
from experiments.figures.table.slot_time import slot_time
from experiments.figures.training.evolution import evolution, runs_with_snapshots
from experiments.figures.training.learning_curves import learning_curves
from experiments.training.evaluation.snapshots import SNAPSHOTS

CHARTS: dict[str, Callable[[FigureData], Drawing]] = {
    "leaderboard": leaderboard,
    "critical_difference": critical_difference,
    "cost": cost,
    "dice_histogram": dice_histogram,
    "score_by_size": score_by_size,
    "overlays": overlays,
    "confusion": confusion,
    "roc": roc,
    "precision_recall": precision_recall,
    "reliability": reliability,
    "learning_curves": learning_curves,
    "slot_time": slot_time,
}
"""Name -> what draws it."""

EVOLUTION = "evolution"

_SUFFIXES = (".png", ".svg", ".gif")


@dataclass(frozen=True)
class Drawn:
    """What came of a sweep's figures."""

    figures: list[Figure]
    omitted: list[Omitted]


def draw_figures(
    data: FigureData, folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Drawn:
    """Draws every figure that `data` suffices for into `folder`, ``results/figures/<sweep>``.

    A figure of an earlier state of the sweep that cannot be drawn any more is removed: it would stand beside numbers
    that it does not belong to. on_progress: called with (done, total) after each.
    """
    drawn = Drawn([], [])
    charts: dict[str, Callable[[], Drawing]] = {name: partial(draw, data) for name, draw in CHARTS.items()}
    charts |= _evolutions(data, drawn)
    for done, (name, draw) in enumerate(charts.items(), start=1):
        try:
            with styled(name):
                drawn.figures.append(draw().save(folder))
        except CannotDrawError as missing:
            drawn.omitted.append(Omitted(name, str(missing)))
        on_progress(done, len(charts))
    _remove_outdated(folder, {path for figure in drawn.figures for path in figure.files})
    return drawn


def _evolutions(data: FigureData, drawn: Drawn) -> dict[str, Callable[[], Drawing]]:
    """An animation for each chosen run; without one the reason is noted."""
    try:
        runs = runs_with_snapshots(data)
    except CannotDrawError as missing:
        drawn.omitted.append(Omitted(EVOLUTION, str(missing)))
        return {}
    if not runs:
        reason = f"no run of the tied configurations kept {SNAPSHOTS} (training.snapshots)"
        drawn.omitted.append(Omitted(EVOLUTION, reason))
    return {f"{EVOLUTION}_{line.entry.id}_fold-{fold}": partial(evolution, data, line, fold) for line, fold in runs}


def _remove_outdated(folder: Path, current: set[Path]) -> None:
    """Removes figures that were not drawn now, and nothing else that lies in the folder."""
    for path in folder.iterdir() if folder.is_dir() else ():
        ours = path.stem in CHARTS or path.stem.startswith(f"{EVOLUTION}_")
        if ours and path.suffix in _SUFFIXES and path not in current:
            path.unlink()
