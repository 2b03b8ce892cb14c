"""The ranking of the complete rows as Demsar (2006) has it: Friedman's test and Nemenyi's critical difference.

Blocks must be independent. For an objective measured per case they are the groups of test cases: a patient or a set
of near-copies is one block, and no group is tested by two folds. Folds themselves would make a poor block: there are
three of them, with which hardly any difference is critical, and they share their training cases. Groups speak of the
networks that were trained and know nothing of training noise, so the ranking adds to `tied_with_best` and does
not replace it. An objective of whole folds (auroc) has no value for a group; its blocks are the folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np

from experiments.leaderboard.summary import ObjectiveValues
from experiments.statistics import FriedmanTest, friedman_nemenyi, group_means


@dataclass(frozen=True)
class Ranking:
    """configurations: ids, as on the leaderboard; the columns of `test`. blocks: what they were ranked on."""

    configurations: tuple[str, ...]
    blocks: Literal["groups", "folds"]
    test: FriedmanTest


def ranking_of(configurations: Sequence[str], objectives: Sequence[ObjectiveValues], sign: int) -> Ranking | None:
    """The ranking of these configurations; None for fewer than three, or fewer than two blocks common to all."""
    if len(configurations) < 3:
        return None
    per_case = all(objective.rows is not None for objective in objectives)
    scores = _over_groups(objectives) if per_case else _over_folds(objectives)
    scores = scores[np.isfinite(scores).all(axis=1)]
    if len(scores) < 2:
        return None
    return Ranking(tuple(configurations), "groups" if per_case else "folds", friedman_nemenyi(sign * scores))


def _over_groups(objectives: Sequence[ObjectiveValues]) -> np.ndarray:
    """(groups, configurations): means over each group's cases, of the cases that all have a value for."""
    cases = objectives[0].cases
    if all(objective.cases is cases for objective in objectives):
        values, groups = np.stack([objective.per_case for objective in objectives]), cases.groups
    else:
        shared = reduce(np.intersect1d, [np.array(objective.cases.ids) for objective in objectives])
        rows = [objective.per_case[np.searchsorted(objective.cases.ids, shared)] for objective in objectives]
        values, groups = np.stack(rows), cases.groups[np.searchsorted(cases.ids, shared)]
    defined = ~np.isnan(values).any(axis=0)
    return group_means(values[:, defined], groups[defined]).T


def _over_folds(objectives: Sequence[ObjectiveValues]) -> np.ndarray:
    """(folds, configurations); no folds where configurations have different numbers of them."""
    if len({objective.folds.size for objective in objectives}) > 1:
        return np.empty((0, len(objectives)))
    return np.stack([objective.folds for objective in objectives], axis=1)
