"""What a complete configuration achieved, and how it compares with another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.leaderboard.cases import RunCases
from experiments.statistics import (
    RESAMPLES,
    group_weights,
    interval,
    mean_over_folds,
    paired_bootstrap_p,
    resampled_metrics,
    std_over_folds,
    wilcoxon_p,
)
from utils.metrics import METRICS


@dataclass(frozen=True)
class Score:
    """One metric over the folds: mean of fold means, spread, and a 95 % interval; NaN where undefined."""

    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class CaseIndex:
    """Distinct cases tested over all folds, sorted, with the number of each one's group."""

    ids: tuple[str, ...]
    groups: np.ndarray
    order: np.ndarray
    """(rows,) for each row of the folds' tables, which of `ids` it is about."""


@dataclass(frozen=True)
class Summary:
    """A complete configuration.

    objective_folds: (k,) the objective of each fold.
    cases, objective_cases: the objective per case, for a per-case objective, else None.
    objective_resampled: (resamples,) the objective of each resample, for a per-fold objective, else None.
    """

    scores: Mapping[str, Score]
    objective_folds: np.ndarray
    cases: CaseIndex | None
    objective_cases: np.ndarray | None
    objective_resampled: np.ndarray | None


class Summarizer:
    """Makes summaries for one sweep; keeps what its configurations share: resamples and case lists."""

    def __init__(self, sweep: str, objective: str, resamples: int = RESAMPLES) -> None:
        self.sweep, self.objective, self.resamples = sweep, objective, resamples
        self._weights: dict[tuple[int, int], np.ndarray] = {}
        self._indices: dict[tuple[tuple[str, ...], tuple[str, ...]], CaseIndex] = {}

    def summarize(self, folds: Mapping[int, tuple[Mapping[str, float | None], RunCases]]) -> Summary:
        """From fold -> (test metrics of the record, its cases); every fold that the configuration needs."""
        resampled = [
            resampled_metrics(run.sample, self._fold_weights(fold, run.sample.group_count))
            for fold, (_, run) in folds.items()
        ]
        scores = {}
        for name in METRICS:
            values = [_number(metrics.get(name)) for metrics, _ in folds.values()]
            samples = [fold[name] for fold in resampled if name in fold]
            low, high = interval(np.mean(samples, axis=0)) if len(samples) == len(folds) else (np.nan, np.nan)
            scores[name] = Score(mean_over_folds(values), std_over_folds(values), low, high)
        objective = np.array([_number(metrics.get(self.objective)) for metrics, _ in folds.values()])
        runs = [run for _, run in folds.values()]
        if METRICS[self.objective].kind == "fold":
            samples = [fold.get(self.objective, np.full(self.resamples, np.nan)) for fold in resampled]
            return Summary(scores, objective, None, None, np.mean(samples, axis=0))
        cases = self._index(runs)
        return Summary(scores, objective, cases, self._per_case(runs, cases), None)

    def _fold_weights(self, fold: int, groups: int) -> np.ndarray:
        if (fold, groups) not in self._weights:
            self._weights[fold, groups] = group_weights(groups, self.resamples, self.sweep, fold)
        return self._weights[fold, groups]

    def _index(self, runs: Sequence[RunCases]) -> CaseIndex:
        key = tuple(name for run in runs for name in run.ids), tuple(name for run in runs for name in run.groups)
        if key not in self._indices:
            ids, first, order = np.unique(np.array(key[0], dtype=str), return_index=True, return_inverse=True)
            _, groups = np.unique(np.array(key[1], dtype=str)[first], return_inverse=True)
            self._indices[key] = CaseIndex(tuple(ids.tolist()), groups, order)
        return self._indices[key]

    def _per_case(self, runs: Sequence[RunCases], cases: CaseIndex) -> np.ndarray:
        """(distinct cases,) the objective; a case tested in several folds has their mean."""
        columns = [run.sample.case_values[:, run.sample.case_metrics.index(self.objective)] for run in runs]
        totals = np.bincount(cases.order, weights=np.concatenate(columns), minlength=len(cases.ids))
        return totals / np.bincount(cases.order, minlength=len(cases.ids))


def compare(one: Summary, best: Summary) -> float:
    """The p-value over cases that `one` is as good as `best`; NaN where there is nothing to compare."""
    if one.objective_resampled is not None and best.objective_resampled is not None:
        return paired_bootstrap_p(one.objective_resampled - best.objective_resampled)
    differences, groups = _paired(one, best)
    return wilcoxon_p(differences, groups)


def _paired(one: Summary, best: Summary) -> tuple[np.ndarray, np.ndarray]:
    """Differences and groups of the cases that both were tested on and have a value for."""
    assert one.cases is not None and one.objective_cases is not None
    assert best.cases is not None and best.objective_cases is not None
    if one.cases is best.cases:
        differences, groups = one.objective_cases - best.objective_cases, one.cases.groups
    else:
        _, mine, theirs = np.intersect1d(one.cases.ids, best.cases.ids, assume_unique=True, return_indices=True)
        differences, groups = one.objective_cases[mine] - best.objective_cases[theirs], one.cases.groups[mine]
    defined = ~np.isnan(differences)
    return differences[defined], groups[defined]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
