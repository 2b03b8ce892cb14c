"""The contest: who is ranked where, and how each configuration compares with the best.

Comparisons with the best are remembered, since one more finished run changes few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.leaderboard.lead import Lead
from experiments.leaderboard.line import Line
from experiments.leaderboard.summary import ObjectiveValues
from experiments.ledger.record import Record
from experiments.statistics import (
    corrected_t_tests,
    group_means,
    holm,
    over_all_pairs,
    paired_bootstrap_p,
    rank_biserial,
    tied_with_best,
    wilcoxon_p_values,
)


class Comparison(NamedTuple):
    """A configuration against the best, over cases. p: unadjusted. effect: NaN for objectives of whole folds."""

    p: float
    effect: float


class Contest:
    """Fills in what lines owe to each other: rank, p-values, ties, difference, effect, probability of being the best.

    sign: +1 if more of the objective is better, else -1. margin: differences up to it are ties, however certain.
    """

    def __init__(self, objective: str, sign: int, margin: float) -> None:
        self._objective, self._sign, self._margin = objective, sign, margin
        self._known: dict[str, tuple[ObjectiveValues, Comparison]] = {}
        self._best: ObjectiveValues | None = None

    def judge(self, lines: Sequence[Line], lead: Lead) -> list[Line]:
        """Ranks what can be ranked and compares it with the best; returns the ranked lines, the best first."""
        for line in lines:
            line.unrank()
        ranked = self._ranked(lines)
        probabilities = lead.probabilities()
        for rank, line in enumerate(ranked, start=1):
            line.rank, line.probability_best = rank, probabilities.get(line.entry.id, 0.0)
        if ranked:
            ranked[0].tied = True
            self._compare_with(ranked[0], ranked[1:])
        return ranked

    def _ranked(self, lines: Sequence[Line]) -> list[Line]:
        """Complete lines by the objective; equals by fewer parameters, then by id."""
        keyed = []
        for line in lines:
            # A line without a value of the objective (no lesion in any case, say) cannot be ranked.
            if line.status == "complete" and not np.isnan(self._mean(line)):
                params = line.finished[0].params_millions or 0.0
                keyed.append((-self._sign * self._mean(line), params, line.entry.id, line))
        keyed.sort(key=lambda item: item[:3])
        return [line for *_, line in keyed]

    def _compare_with(self, best: Line, others: Sequence[Line]) -> None:
        compared = self._compared(best, others)
        differences = np.array([self._mean(line) - self._mean(best) for line in others])
        case_p = holm(np.array([one.p for one in compared]))
        fold_p = over_all_pairs(_fold_p(best, others))
        tied = tied_with_best(case_p, fold_p, differences, self._margin)
        for position, line in enumerate(others):
            line.p_vs_best, line.p_folds = float(case_p[position]), float(fold_p[position])
            line.difference, line.effect = float(differences[position]), compared[position].effect
            line.tied = bool(tied[position])

    def _compared(self, best: Line, others: Sequence[Line]) -> list[Comparison]:
        """Over cases; what is known already is taken from memory until one of the two changes."""
        champion = _objective(best)
        if self._best is not champion:
            self._best, self._known = champion, {}
        known = self._known
        new = [line for line in others if line.entry.id not in known or known[line.entry.id][0] is not _objective(line)]
        comparisons = compare([_objective(line) for line in new], champion)
        for line, comparison in zip(new, comparisons, strict=True):
            known[line.entry.id] = (_objective(line), comparison)
        return [known[line.entry.id][1] for line in others]

    def _mean(self, line: Line) -> float:
        assert line.summary is not None
        return line.summary.scores[self._objective].mean


def compare(others: Sequence[ObjectiveValues], best: ObjectiveValues) -> list[Comparison]:
    """Each of `others` against the best; NaN where there is nothing to compare.

    Those that were tested on the same cases, nearly always all of them, are tested at one go.
    """
    found: list[Comparison] = [Comparison(float("nan"), float("nan"))] * len(others)
    alike: dict[tuple[int, bytes], list[int]] = {}
    paired = [_paired(one, best) for one in others]
    for position, (one, pair) in enumerate(zip(others, paired, strict=True)):
        if pair is not None:
            alike.setdefault((pair[1].size, pair[1].tobytes()), []).append(position)
        elif one.resampled is not None and best.resampled is not None:
            found[position] = Comparison(paired_bootstrap_p(one.resampled - best.resampled), float("nan"))
    for positions in alike.values():
        pairs = [pair for position in positions if (pair := paired[position]) is not None]
        differences = group_means(np.stack([values for values, _ in pairs]), pairs[0][1])
        for position, p, effect in zip(
            positions, wilcoxon_p_values(differences), rank_biserial(differences), strict=True
        ):
            found[position] = Comparison(float(p), float(effect))
    return found


def _paired(one: ObjectiveValues, best: ObjectiveValues) -> tuple[np.ndarray, np.ndarray] | None:
    """Differences and groups of the cases that both were tested on and have a value for; None for whole folds."""
    if one.rows is None or best.rows is None:
        return None
    if one.cases is best.cases:
        differences, groups = one.per_case - best.per_case, one.cases.groups
    else:
        _, mine, theirs = np.intersect1d(one.cases.ids, best.cases.ids, assume_unique=True, return_indices=True)
        differences, groups = one.per_case[mine] - best.per_case[theirs], one.cases.groups[mine]
    defined = ~np.isnan(differences)
    return differences[defined], groups[defined]


def _fold_p(best: Line, others: Sequence[Line]) -> np.ndarray:
    """Over folds, unadjusted; NaN for lines with another number of folds than the best."""
    scores = [_objective(line).folds for line in (best, *others)]
    comparable = np.array([row.size == scores[0].size for row in scores])
    ratio = cases_tested_per_trained(best.finished[0], scores[0].size)
    table = np.stack([row for row, fits in zip(scores, comparable, strict=True) if fits])
    p = np.full(len(scores), np.nan)
    p[comparable] = corrected_t_tests(table, 0, ratio)
    return p[1:]


def cases_tested_per_trained(record: Record, folds: int) -> float:
    """Test cases per training case of a k-fold split, validation not counted as training."""
    settings = record.settings.get("folds", {})
    k = folds if settings.get("from") else settings.get("k", folds)
    return 1 / ((k - 1) * (1 - settings.get("validation", 0.0))) if k > 1 else float("nan")


def _objective(line: Line) -> ObjectiveValues:
    assert line.summary is not None
    return line.summary.objective
