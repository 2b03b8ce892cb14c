"""What a complete configuration achieved: its scores, and its objective case by case for comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np

from experiments.leaderboard.cases import RunCases
from experiments.statistics import (
    RESAMPLES,
    expanded_level,
    group_weights,
    interval,
    over_folds,
    resampled_fold_metric,
    resampled_means,
    resampled_metrics,
)
from utils.metrics import METRICS


@dataclass(frozen=True, slots=True)
class Score:
    """One metric over the folds: mean of fold means, spread, and a 95 % interval; NaN where undefined."""

    mean: float
    std: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True, eq=False)
class TestedCases:
    """The cases that a configuration was tested on, one row for each fold and case; shared by configurations.

    ids: (C,) distinct cases, sorted. groups: (C,) the number of each one's group.
    order: (rows,) which of `ids` each row is about. folds: (k,) with their group numbers, (rows of the fold,), each.
    """

    __test__ = False  # pytest takes it for a class of tests

    ids: tuple[str, ...]
    groups: np.ndarray
    order: np.ndarray
    folds: tuple[tuple[int, np.ndarray], ...]


@dataclass(frozen=True, eq=False)
class ObjectiveValues:
    """The objective of a configuration.

    folds: (k,) of each fold. rows: (rows,) of each case of `cases`, for a per-case objective, else None.
    resampled: (resamples,) mean over the folds, for a per-fold objective, which takes long, else None.
    """

    folds: np.ndarray
    cases: TestedCases
    rows: np.ndarray | None
    resampled: np.ndarray | None

    @cached_property
    def per_case(self) -> np.ndarray:
        """(C,) the objective of each distinct case; one that was tested in several folds has their mean."""
        assert self.rows is not None
        totals = np.bincount(self.cases.order, weights=self.rows, minlength=len(self.cases.ids))
        return totals / np.bincount(self.cases.order, minlength=len(self.cases.ids))


@dataclass(frozen=True, eq=False)
class Summary:
    """A complete configuration. detailed: whether all scores have intervals, or only that of the objective."""

    scores: Mapping[str, Score]
    objective: ObjectiveValues
    detailed: bool = False


Metrics = Mapping[str, float | None]
"""A record's test metrics."""


class Summarizer:
    """Makes summaries for one sweep; keeps what its configurations share: resamples and case lists."""

    def __init__(self, sweep: str, objective: str, resamples: int = RESAMPLES) -> None:
        self.sweep, self.objective, self.resamples = sweep, objective, resamples
        self._weights: dict[tuple[int, int], np.ndarray] = {}
        self._cases: dict[tuple[tuple[tuple[int, int], ...], tuple[str, ...], tuple[str, ...]], TestedCases] = {}

    @property
    def wanted(self) -> str | None:
        """The only metric that `summarize` needs of the cases; None if it needs predictions too."""
        return self.objective if METRICS[self.objective].kind == "case" else None

    def summarize(
        self, configurations: Sequence[Mapping[int, tuple[Metrics, RunCases]]]
    ) -> list[tuple[Summary, np.ndarray]]:
        """Of each, from fold -> (test metrics of the record, its cases); every fold that the configuration needs.

        Returns summaries, with an interval of the objective alone, and the objective's resamples, (resamples,).
        """
        objectives = [self._objective(folds) for folds in configurations]
        found = []
        for folds, objective, resampled in zip(configurations, objectives, self.resampled(objectives), strict=True):
            values = np.array([[_number(metrics.get(name)) for metrics, _ in folds.values()] for name in METRICS])
            means, stds = over_folds(values)
            scores = {name: Score(*both) for name, *both in zip(METRICS, means.tolist(), stds.tolist(), strict=True)}
            low, high = interval(resampled, _level(self.objective, [run for _, run in folds.values()]))
            scores[self.objective] = replace(scores[self.objective], low=low, high=high)
            found.append((Summary(scores, objective), resampled))
        return found

    def detailed(self, summary: Summary, runs: Mapping[int, RunCases]) -> Summary:
        """The summary with the intervals of all metrics, from fold -> all cases."""
        resampled = [
            resampled_metrics(run.sample, self._fold_weights(fold, run.sample.group_count))
            for fold, run in runs.items()
        ]
        scores = dict(summary.scores)
        for name in METRICS:
            samples = [fold[name] for fold in resampled if name in fold]
            if name != self.objective and len(samples) == len(runs):
                low, high = interval(np.mean(samples, axis=0), _level(name, list(runs.values())))
                scores[name] = replace(scores[name], low=low, high=high)
        return Summary(scores, summary.objective, True)

    def resampled(self, objectives: Sequence[ObjectiveValues]) -> list[np.ndarray]:
        """The resamples of each, (resamples,), mean over folds; all configurations have the same cases drawn.

        One matrix product serves all that were tested on the same cases; alone they would come out the same.
        """
        found = [np.empty(0) if objective.resampled is None else objective.resampled for objective in objectives]
        alike: dict[TestedCases, list[int]] = {}
        for position, objective in enumerate(objectives):
            if objective.rows is not None:
                alike.setdefault(objective.cases, []).append(position)
        for cases, positions in alike.items():
            rows = np.stack([row for position in positions if (row := objectives[position].rows) is not None], axis=1)
            samples, start = [], 0
            for fold, groups in cases.folds:
                weights = self._fold_weights(fold, int(groups.max(initial=-1)) + 1)
                samples.append(resampled_means(rows[start : start + groups.size], groups, weights))
                start += groups.size
            for position, resampled in zip(positions, (reduce(np.add, samples) / len(samples)).T, strict=True):
                found[position] = np.ascontiguousarray(resampled)
        return found

    def _objective(self, folds: Mapping[int, tuple[Metrics, RunCases]]) -> ObjectiveValues:
        values = np.array([_number(metrics.get(self.objective)) for metrics, _ in folds.values()])
        runs = {fold: run for fold, (_, run) in folds.items()}
        cases = self._tested(runs)
        if METRICS[self.objective].kind == "case":
            columns = [
                run.sample.case_values[:, run.sample.case_metrics.index(self.objective)] for run in runs.values()
            ]
            return ObjectiveValues(values, cases, np.concatenate(columns), None)
        resampled = [
            resampled_fold_metric(METRICS[self.objective], run.sample, self._fold_weights(fold, run.sample.group_count))
            for fold, run in runs.items()
        ]
        # Thousands of configurations are kept like this: single precision halves them and keeps equals equal.
        return ObjectiveValues(values, cases, None, np.mean(resampled, axis=0).astype(np.float32))

    def _fold_weights(self, fold: int, groups: int) -> np.ndarray:
        if (fold, groups) not in self._weights:
            self._weights[fold, groups] = group_weights(groups, self.resamples, self.sweep, fold)
        return self._weights[fold, groups]

    def _tested(self, runs: Mapping[int, RunCases]) -> TestedCases:
        names = tuple(name for run in runs.values() for name in run.ids)
        groups = tuple(name for run in runs.values() for name in run.groups)
        key = tuple((fold, len(run.ids)) for fold, run in runs.items()), names, groups
        if key not in self._cases:
            ids, first, order = np.unique(np.array(names, dtype=str), return_index=True, return_inverse=True)
            _, codes = np.unique(np.array(groups, dtype=str)[first], return_inverse=True)
            folds = tuple((fold, run.sample.groups) for fold, run in runs.items())
            self._cases[key] = TestedCases(tuple(ids.tolist()), codes, order, folds)
        return self._cases[key]


def _level(metric: str, runs: Sequence[RunCases]) -> float:
    """Of the percentiles, from the groups in each fold that say something about the metric."""
    return expanded_level(tuple(run.sample.groups_with(metric) for run in runs))


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
