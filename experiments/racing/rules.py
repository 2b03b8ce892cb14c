"""The rules of a race, what it is told of a run, and what it says of who was stopped."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Run = tuple[str, int]
"""A configuration's id and a fold."""

RUNG_SHARE = 0.67
"""What goes on at the rung of a race that halves epochs: after half of them a validation part cannot tell more."""


@dataclass(frozen=True)
class Rules:
    """When a configuration is stopped.

    alpha: how often a race may stop the true best, over all its decisions. margin: the lead, in the objective's unit,
    that must be exceeded with confidence. pilots: how many run fold 1 before the decision after fold 0; None for
    `pilots_of`, 0 for none, and then the first decision waits for two folds of all. rung_share: how many go on at each
    rung of fold 0, but never fewer than `kept`; 1 for no rungs. fold_share: how many of those that ran a fold run the
    next, but never fewer than two, and then there are no pilots; 1 for all. What shares stop, `alpha` does not cover.
    """

    alpha: float = 0.01
    margin: float = 0.02
    pilots: int | None = None
    rung_share: float = 1.0
    kept: int = 4
    fold_share: float = 1.0


DEFAULT = Rules()


def pilots_of(configurations: int) -> int:
    """How many pilots a race has: half of a dozen, a twentieth of a thousand.

    With fewer the noise is known so badly that nobody can be stopped; more cost what racing is to save.
    """
    return min(max(6, math.ceil(1.5 * math.sqrt(configurations))), configurations)


@dataclass(frozen=True, eq=False)
class FoldScores:
    """What a configuration achieved on a fold; larger is better.

    value: the objective, NaN if undefined. cases: (N,) of each test case, NaN where it has none, None for an objective
    of whole folds. groups: (N,) integers, the group of each case. Cases are those of the fold, in one order for all.
    """

    value: float
    cases: np.ndarray | None = None
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class Stop:
    """Why a configuration was stopped: after fold `fold` it was `lead` behind `leader`, and at least `bound`.

    rung: the epoch of fold 0 after which it was stopped instead, by validation scores. bound: NaN then, and where it
    was only not among the share that goes on.
    """

    leader: str
    fold: int
    lead: float
    bound: float
    rung: int | None = None

    def sentence(self, name: str, leader: str) -> str:
        """For people. name, leader: of the two configurations."""
        if self.rung is not None:
            after = f"epoch {self.rung} of fold {self.fold}"
            return f"{name} is raced out after {after}: {leader} is better by {self.lead:.4f} on its validation part"
        lead = f"{leader} leads by {self.lead:.4f}"
        if math.isnan(self.bound):
            return f"{name} is raced out after fold {self.fold}: {lead}, and others are nearer"
        lead += f", with confidence by {self.bound:.4f}"
        return f"{name} is raced out after fold {self.fold}: {lead}"


def rungs_of(epochs: int) -> tuple[int, ...]:
    """After which epochs of fold 0 halving compares: half of them. A quarter says too little, by replays of a grid."""
    return (epochs // 2,) if epochs > 1 else ()
