"""What the leaderboard's words are worth where the truth is known: simulated tables of configurations.

    python tests/benchmarks/simulation.py [--tables 2000]

Two questions. Of identical configurations, how often is any called worse than the best (the family-wise error, to be at
most alpha, with a margin of 0, so that the tests alone decide)? And how often does a 95 % interval hold the true mean?
A case's score is its group's difficulty, which all configurations share, and noise of the configuration on the
group, on the case, and of the training of each fold. Seeds are fixed. Exit code 1 if a figure is out of bounds.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.statistics import (
    ALPHA,
    RESAMPLES,
    corrected_t_tests,
    expanded_level,
    group_means,
    group_weights,
    holm,
    interval,
    over_all_pairs,
    resampled_means,
    tied_with_best,
    wilcoxon_p_values,
)

COVERAGE = (0.93, 0.97)
TEST_TO_TRAIN = 1 / (2 * 0.85)
"""Three folds, 15 % of what is not tested kept for validation."""


@dataclass(frozen=True)
class World:
    """Standard deviations of what a score is made of. groups: per fold; every third of them has two cases.

    shared: the part of the variance of training that a configuration's folds have in common. Nadeau and Bengio suppose
    test / (test + train), since folds share training cases.
    """

    name: str
    configurations: int = 6
    folds: int = 3
    groups: int = 45
    difficulty: float = 0.1
    taste: float = 0.04
    noise: float = 0.03
    training: float = 0.02
    shared: float = 0.0
    skewed: bool = False

    @property
    def codes(self) -> np.ndarray:
        """The group of each case of a fold, (N,)."""
        return np.sort(np.concatenate([np.arange(self.groups), np.arange(0, self.groups, 3)]))

    def tables(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores (count, configurations, folds, N), and what each network would score on all patients, without N."""
        rng = np.random.default_rng([count, *self.name.encode()])
        shape = (count, self.configurations, self.folds)
        patients = (count, 1, self.folds, self.groups)
        difficulty = rng.beta(8, 2, patients) - 0.8 if self.skewed else rng.normal(0, self.difficulty, patients)
        own, common = rng.normal(0, self.training, shape), rng.normal(0, self.training, (*shape[:2], 1))
        trained = 0.8 + np.sqrt(1 - self.shared) * own + np.sqrt(self.shared) * common
        on_group = difficulty + rng.normal(0, self.taste, (*shape, self.groups))
        scores = trained[..., None] + on_group[..., self.codes]
        return scores + rng.normal(0, self.noise, scores.shape), trained


NULLS = (
    World("no training noise", training=0.0),
    World("training noise as large as the noise of cases", training=0.03),
    World("training noise above all", training=0.1),
    World("twenty configurations", configurations=20),
    World("two folds, few groups", folds=2, groups=27),
    World("training noise that folds share", training=0.03, shared=TEST_TO_TRAIN / (1 + TEST_TO_TRAIN)),
    World("twenty that share it", configurations=20, training=0.03, shared=TEST_TO_TRAIN / (1 + TEST_TO_TRAIN)),
)
COVERED = (
    World("few groups", configurations=1, groups=12),
    World("some groups", configurations=1, groups=45),
    World("skewed scores", configurations=1, groups=45, skewed=True),
    World("many groups", configurations=1, groups=150),
)


def not_tied(world: World, tables: int) -> dict[str, float]:
    """Share of tables with a configuration that is called worse: by cases alone, by folds alone, by the leaderboard."""
    scores, _ = world.tables(tables)
    means = scores.mean(axis=3)
    best = means.mean(axis=2).argmax(axis=1)
    champion = scores[np.arange(tables), best]
    others = np.arange(world.configurations)[None] != best[:, None]
    rows = (scores - champion[:, None])[others].reshape(tables * (world.configurations - 1), -1)
    codes = (np.arange(world.folds)[:, None] * world.groups + world.codes).ravel()
    over_cases = wilcoxon_p_values(group_means(rows, codes)).reshape(tables, -1)
    wrong = dict.fromkeys(("cases alone", "folds alone", "leaderboard"), 0)
    for table in range(tables):
        case_p = holm(over_cases[table])
        fold_p = over_all_pairs(corrected_t_tests(means[table], int(best[table]), TEST_TO_TRAIN)[others[table]])
        averages = means[table].mean(axis=1)
        tied = tied_with_best(case_p, fold_p, averages[others[table]] - averages[best[table]])
        wrong["cases alone"] += bool((case_p < ALPHA).any())
        wrong["folds alone"] += bool((fold_p < ALPHA).any())
        wrong["leaderboard"] += bool((~tied).any())
    return {name: count / tables for name, count in wrong.items()}


def coverage(world: World, tables: int) -> float:
    """Share of tables of which the interval holds what the networks would score on all patients."""
    scores, trained = world.tables(tables)
    weights = [group_weights(world.groups, RESAMPLES, "simulation", fold) for fold in range(world.folds)]
    level = expanded_level((world.groups,) * world.folds)
    held = 0
    for start in range(0, tables, 100):
        part, truths = scores[start : start + 100, 0], trained[start : start + 100, 0].mean(axis=1)
        # One column for each table: a hundred of them are resampled at one go.
        samples = [resampled_means(part[:, fold].T, world.codes, weights[fold]) for fold in range(world.folds)]
        ends = [interval(row, level) for row in np.mean(samples, axis=0).T]
        held += sum(low <= truth <= high for (low, high), truth in zip(ends, truths, strict=True))
    return held / tables


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", type=int, default=2000)
    tables = parser.parse_args().tables
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}; {tables} tables each")
    start, missed = time.perf_counter(), False
    print(f"\nfamily-wise error of 'not tied', identical configurations, alpha {ALPHA}, margin 0")
    for world in NULLS:
        errors = not_tied(world, tables)
        print(f"  {world.name:46}" + ", ".join(f"{name} {error:.2%}" for name, error in errors.items()))
        missed |= errors["leaderboard"] > ALPHA
    print(f"\ncoverage of 95 % intervals, {RESAMPLES} resamples")
    for world in COVERED:
        covered = coverage(world, tables)
        print(f"  {world.name:46}{covered:.2%}")
        missed |= not COVERAGE[0] <= covered <= COVERAGE[1]
    print(f"\n{time.perf_counter() - start:.0f} s; " + ("out of bounds" if missed else "all within bounds"))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
