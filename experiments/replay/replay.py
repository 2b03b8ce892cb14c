"""Thousands of races on one grid: other patients, other orders, the same runs.

Every replay draws the groups of each fold's cases anew, with replacement and alike for all configurations, and shuffles
configurations and folds: any of the folds could have been the first. What it cannot draw anew is training itself; that
noise is in the grid once, from fold to fold, and the resampled cases add theirs to it: a replay is noisier than the
sweep was.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np

from experiments.racing import FoldScores, Race, Rules, rungs_of
from experiments.replay.grid import Grid
from utils.identity import derive_seed


@dataclass(frozen=True, eq=False)
class Replays:
    """What came of R races under one set of rules.

    seconds: (R,) share of the grid's training seconds. runs: (R,) share of its runs. winner: (R,) whether the full
    table's winner, and tied: (R,) whether it or one tied with it, ran to the end. own: (R,) whether the winner that the
    whole resampled table has ran to the end; regret: (R,) by how much the race's winner is worse there.
    """

    rules: Rules
    seconds: np.ndarray
    runs: np.ndarray
    winner: np.ndarray
    tied: np.ndarray
    own: np.ndarray
    regret: np.ndarray

    def sentence(self) -> str:
        """The figures in one line."""
        low, high = np.quantile(self.seconds, [0.05, 0.95])
        return (
            f"{describe(self.rules)}: {self.seconds.mean():.1%} of the training "
            f"seconds ({low:.0%} to {high:.0%}), {self.runs.mean():.1%} of the runs; the winner survives in "
            f"{self.winner.mean():.2%}, it or one tied with it in {self.tied.mean():.2%}, the resampled table's own in "
            f"{self.own.mean():.2%}; regret {self.regret.mean():.5f}"
        )


def describe(rules: Rules) -> str:
    """The rules in words."""
    rungs = f", {rules.rung_share:g} at the rung" if rules.rung_share < 1 else ""
    folds = f", {rules.fold_share:g} after each fold" if rules.fold_share < 1 else ""
    return f"alpha {rules.alpha:g}, margin {rules.margin:g}{rungs}{folds}"


def replay(grid: Grid, rules: Rules, count: int, slots: int = 2) -> Replays:
    """`count` races on resamples of the grid. Equal arguments give equal replays, and all rules the same resamples.

    slots: how many runs go on at once; at the end of a stage all but one of them start runs early, which cost their
    time whether they count or not.
    """
    found = [_race(grid, rules, np.random.default_rng(derive_seed("replay", number)), slots) for number in range(count)]
    columns = [np.array(column) for column in zip(*found, strict=True)]
    return Replays(rules, *columns)


def _race(
    grid: Grid, rules: Rules, rng: np.random.Generator, slots: int
) -> tuple[float, float, bool, bool, bool, float]:
    """One replay: what `Replays` has of it."""
    order, folds = rng.permutation(len(grid.configurations)), rng.permutation(grid.folds)
    drawn = [_resampled(grid, int(fold), rng) for fold in folds]
    means = np.stack([_means(cases) for cases, _ in drawn], axis=1)
    failed = grid.failed[:, folds]
    epochs = grid.curves.shape[2]
    raced = Race([grid.configurations[row] for row in order], grid.folds, rules, rungs_of(epochs))
    row_of = {one: row for row, one in enumerate(grid.configurations)}
    trained: dict[tuple[str, int], int] = {}

    def go_on(run: tuple[str, int], until: int | None) -> None:
        """Trains a run to a rung, or to its end."""
        row, fold = row_of[run[0]], run[1]
        trained[run] = max(trained.get(run, 0), until or epochs)
        for rung in raced.rungs if fold == 0 else ():
            if rung <= trained[run]:
                raced.reach(run[0], rung, float(grid.curves[row, folds[0], rung - 1]))
        if until is None:
            cases, groups = drawn[fold]
            scores = FoldScores(float(means[row, fold]), cases[row], groups)
            raced.enter(run, None if failed[row, fold] else scores)

    while not raced.over:
        (*others, last), until = raced.wanted, raced.until
        for run in others:
            go_on(run, until)
        early = list(islice(raced.early(), slots - 1))
        go_on(last, until)
        for run in early:
            go_on(run, None)
    seconds = sum(
        grid.seconds[row_of[one], folds[fold]] * grid.spent[row_of[one], folds[fold], until - 1]
        for (one, fold), until in trained.items()
    )
    alive = np.array([one not in raced.stopped for one in grid.configurations])
    scores = np.where(failed.any(axis=1), np.nan, means.mean(axis=1))
    best, raced_best = np.nanmax(scores), np.nanmax(scores[alive])
    return (
        float(seconds / grid.seconds.sum()),
        len(trained) / grid.seconds.size,
        bool(alive[grid.winner]),
        bool(alive[list(grid.tied)].any()),
        bool(alive[int(np.nanargmax(scores))]),
        float(best - raced_best),
    )


def _resampled(grid: Grid, fold: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores (M, N') and groups (N',) of a fold whose groups were drawn with replacement; each draw is a group."""
    codes = grid.groups[fold]
    count = int(codes.max()) + 1
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    drawn = rng.integers(0, count, count)
    chosen = [members[group] for group in drawn]
    sizes = [len(cases) for cases in chosen]
    return grid.cases[fold][:, np.concatenate(chosen)], np.repeat(np.arange(count), sizes)


def _means(cases: np.ndarray) -> np.ndarray:
    """Means over defined cases, (M,); NaN where there are none."""
    defined = ~np.isnan(cases)
    totals, counts = np.where(defined, cases, 0.0).sum(axis=1), defined.sum(axis=1)
    return np.divide(totals, counts, out=np.full(len(cases), np.nan), where=counts > 0)
