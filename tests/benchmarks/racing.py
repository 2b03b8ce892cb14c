"""What a race is worth where the truth is known: simulated tables of configurations, raced as a sweep would be.

    python tests/benchmarks/racing.py [--races 2000] [--alpha 0.01]

Of identical configurations, how often is the best one lost (at most alpha, with a margin of 0, so that the bound
alone decides)? "The best" in each of two senses: one that was named beforehand, and the one that would have won the
full table. Luck that all folds of a configuration share is a part of what the full table says: no race can tell it
from skill, so there only the second sense is bounded. And where configurations differ, how much is saved, how often is
the winner of the full table stopped, and by how much is the winner of the race worse than it? Seeds are fixed.
Exit code 1 if a race loses more than alpha.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from simulation import TEST_TO_TRAIN, World

from experiments.racing import FoldScores, Race, Rules

SHARED = TEST_TO_TRAIN / (1 + TEST_TO_TRAIN)

NULLS = (
    World("no training noise", configurations=12, training=0.0),
    World("training noise as large as the noise of cases", configurations=12, training=0.03),
    World("training noise above all", configurations=12, training=0.1),
    World("five folds", configurations=12, folds=5, groups=27, training=0.03),
    World("five configurations", configurations=5, training=0.03),
    World("forty configurations", configurations=40, training=0.03),
    World("two folds, few groups", configurations=12, folds=2, groups=20, training=0.03),
    World("training noise that folds share", configurations=12, training=0.03, shared=SHARED),
    World("skewed scores", configurations=12, training=0.03, skewed=True),
)

# Lesions of 240 images from three hospitals' worth of difficulty, drawn by small networks that were not pretrained.
SMALL = World("12 of 0.30 to 0.55", configurations=12, groups=50, difficulty=0.2, taste=0.1, noise=0.1, training=0.02)
GRADED = (
    (SMALL, (0.30, 0.55)),
    (replace(SMALL, name="the same in five folds", folds=5, groups=30), (0.30, 0.55)),
    (replace(SMALL, name="12 of 0.10 to 0.55", groups=50), (0.10, 0.55)),
    (replace(SMALL, name="the same in five folds", folds=5, groups=30), (0.10, 0.55)),
    (replace(SMALL, name="60 of 0.30 to 0.55, five folds", configurations=60, folds=5, groups=30), (0.30, 0.55)),
    (replace(SMALL, name="60 of 0.30 to 0.55, 780 images", configurations=60, folds=5, groups=100), (0.30, 0.55)),
)


@dataclass(frozen=True)
class Outcome:
    """Shares of races. named, winner, any: that stopped the configuration named beforehand, the full table's winner,
    and any at all. runs: that were run, of all. regret: mean over races, in the objective's unit.
    """

    named: float
    winner: float
    any: float
    runs: float
    regret: float


def race(scores: np.ndarray, codes: np.ndarray, rules: Rules) -> tuple[Race, int]:
    """A race on one table of scores (M, k, N), and how many runs it took."""
    configurations, folds, _ = scores.shape
    names = [str(row) for row in range(configurations)]
    raced, means, runs = Race(names, folds, rules), scores.mean(axis=2), 0
    while not raced.over:
        for one, fold in list(raced.wanted):
            row = int(one)
            raced.enter((one, fold), FoldScores(float(means[row, fold]), scores[row, fold], codes))
            runs += 1
    return raced, runs


def outcome(world: World, races: int, rules: Rules, skills: tuple[float, float] | None = None) -> Outcome:
    """Races on as many tables of a world. skills: lowest and highest true score, evenly spaced; None: all equal.

    The configuration named beforehand is the last, which has the highest skill.
    """
    tables, _ = world.tables(races)
    if skills is not None:
        tables += np.linspace(*skills, world.configurations)[:, None, None]
    named = winner = any_ = runs = 0
    regrets = []
    for scores in tables:
        raced, took = race(scores, world.codes, rules)
        means = scores.mean(axis=(1, 2))
        best = int(means.argmax())
        alive = [row for row in range(world.configurations) if str(row) not in raced.stopped]
        named += str(world.configurations - 1) in raced.stopped
        winner += str(best) in raced.stopped
        any_ += bool(raced.stopped)
        runs += took
        regrets.append(means[best] - means[alive].max())
    whole = races * world.configurations * world.folds
    return Outcome(named / races, winner / races, any_ / races, runs / whole, float(np.mean(regrets)))


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--races", type=int, default=2000)
    parser.add_argument("--alpha", type=float, default=Rules().alpha)
    parser.add_argument("--margin", type=float, default=Rules().margin, help="where configurations differ")
    parser.add_argument("--pilots", type=int, default=None)
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}; {options.races} races each"
    )
    rules = Rules(options.alpha, 0.0, options.pilots)
    start, missed = time.perf_counter(), False
    print(f"\nidentical configurations, alpha {rules.alpha:g}, margin 0: races that stop")
    for world in NULLS:
        found = outcome(world, options.races, rules)
        print(
            f"  {world.name:46} one named beforehand {found.named:.2%}, the table's winner {found.winner:.2%},"
            f" any {found.any:.2%}"
        )
        missed |= (found.winner if world.shared else max(found.named, found.winner)) > rules.alpha
    rules = replace(rules, margin=options.margin)
    print(f"\nconfigurations that differ evenly, alpha {rules.alpha:g}, margin {rules.margin:g}")
    for world, skills in GRADED:
        found = outcome(world, options.races // 4, rules, skills)
        print(
            f"  {world.name:46} runs {found.runs:.1%} of the table, its winner stopped {found.winner:.2%}, "
            f"regret {found.regret:.5f}"
        )
        missed |= found.winner > rules.alpha
    print(f"\n{time.perf_counter() - start:.0f} s; " + ("out of bounds" if missed else "all within bounds"))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
