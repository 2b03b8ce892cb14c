"""What the numbers of the page mean: the metrics that it shows, and the statistics in plain words."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.leaderboard import Leaderboard
from experiments.opened import OpenedSweep
from experiments.report.scoreboard import Scoreboard
from experiments.report.wording import counted, metric_title, significant
from experiments.statistics import ALPHA, RESAMPLES
from utils.metrics import METRICS


@dataclass(frozen=True)
class Definition:
    """A metric for its reader: what is measured, on what, in which range, and what happens where there is nothing."""

    title: str
    measures: str
    per: str
    range: str
    better: str
    empty_case: str
    reference: str


def definitions(board: Scoreboard) -> list[Definition]:
    """Of every metric on the page, in its order."""
    return [_definition(name) for name in board.metrics]


def statistics(board: Scoreboard, leaderboard: Leaderboard) -> list[str]:
    """How sure the numbers are and how rows were compared, a paragraph each."""
    metric = METRICS[board.objective]
    title = metric_title(board.objective)
    over = "cases (Wilcoxon signed-rank, over groups)" if metric.kind == "case" else "resamples (paired bootstrap)"
    paragraphs = [
        "Every score is the mean over folds of the fold's own mean, and ± is the standard deviation over folds. A fold "
        "that failed is never averaged away: its configuration has no rank.",
        f"Intervals hold 95 % of {RESAMPLES:,} bootstrap resamples. They draw groups of cases that belong together, "
        "not single images, whose near-copies would make every interval too narrow. They speak of these networks on "
        "other cases, not of training them again.",
        f"Each row is compared with the first in {title} on the same cases: by a paired test over {over} and by the "
        "corrected resampled t-test over folds (Nadeau and Bengio 2003), both with Holm's correction over the table. "
        f"A row is tied with the best unless both tests reject at {ALPHA:g} and the difference exceeds "
        f"{leaderboard.margin:g}: cases alone know nothing of training noise, folds alone are few, and a difference "
        "that nobody would act on is none, however certain it is.",
        "P(best) is the share of resamples in which a row is the best; the effect size is the matched-pairs "
        "rank-biserial correlation, from -1 (worse than the best on every group) to 1.",
    ]
    if (ranking := leaderboard.ranking) is not None:
        test = ranking.test
        paragraphs.append(
            f"Over the whole table, Friedman's test of equal ranks over {ranking.blocks} has p = "
            f"{significant(test.p, 2)}; average ranks further apart than {test.critical_difference:.2f} differ by "
            "Nemenyi's test (Demsar 2006)."
        )
    return paragraphs


def methods(opened: OpenedSweep, board: Scoreboard) -> str:
    """The sentences for a paper's section on methods."""
    settings = opened.sweep.settings
    sources = ", ".join(f"{source.name} ({len(source.audit.usable):,} images)" for source in opened.found.sources)
    splits = {one.split.hash: one for one in opened.planned}
    folds = "/".join(str(one.folds) for one in splits.values())
    held = settings.folds.validation
    return (
        f"We compared {counted(len(board.rows), 'configuration')} on {sources} in {folds} folds that keep groups of "
        f"cases together; {held:.0%} of each training part chose the checkpoint, and each fold's test part was used "
        f"once. We report means over folds with 95 % intervals from {RESAMPLES:,} bootstrap resamples of groups, and "
        "compare with the best configuration by paired tests over cases and by the corrected resampled t-test over "
        "folds (Nadeau and Bengio 2003), Holm-corrected."
    )


def _definition(name: str) -> Definition:
    metric = METRICS[name]
    low, high = (_bound(bound) for bound in metric.range)
    return Definition(
        metric_title(name),
        (inspect.getdoc(metric.function) or "").split("\n\n")[0],
        "image" if metric.kind == "case" else "fold",
        f"{low} to {high}{f' {metric.unit}' if metric.unit else ''}",
        "higher" if metric.direction == "max" else "lower",
        metric.empty_case,
        metric.reference,
    )


def _bound(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:g}"


def data_about(opened: OpenedSweep) -> Sequence[str]:
    """What the files that the data sets are registered in say about them: where they are from, whom to cite."""
    modules = [inspect.getmodule(type(source.dataset)) for source in opened.found.sources]
    return list(dict.fromkeys(text for module in modules if (text := module and inspect.getdoc(module))))
