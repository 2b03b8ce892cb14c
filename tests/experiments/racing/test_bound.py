"""The bound of a lead knows of cases, of training and of everybody who could have been lucky."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from experiments.racing import FoldTable, Noise, critical_lead, leads_of, noise_of
from experiments.racing.bound import case_variances
from experiments.statistics import group_weights, resampled_means


def test_a_single_rival_is_students_t() -> None:
    for freedom, alpha in ((1, 0.01), (5, 0.05), (40, 0.001)):
        assert critical_lead(1, freedom, alpha) == pytest.approx(student.isf(alpha, freedom), rel=1e-6)


@pytest.mark.parametrize(("rivals", "freedom", "tabulated"), [(2, 10, 2.15), (9, 10, 2.81), (3, 20, 2.19)])
def test_several_rivals_are_dunnetts_table(rivals: int, freedom: int, tabulated: float) -> None:
    assert critical_lead(rivals, freedom, 0.05) == pytest.approx(tabulated, abs=0.006)


def test_noise_is_what_configuration_and_fold_do_not_explain() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 0.03, (400, 5)) + rng.normal(0, 1, (400, 1)) + rng.normal(0, 1, 5)
    found = noise_of(scores)
    assert found.variance == pytest.approx(0.03**2, rel=0.1)
    assert found.freedom == 399 * 4
    assert noise_of(scores[:, :1]).freedom == 0


def test_the_luck_of_pilots_is_put_right() -> None:
    rng = np.random.default_rng(2)
    variances = []
    for _ in range(2000):
        scores = rng.normal(0, 1, (24, 2))
        pilots = scores[np.argsort(-scores[:, 0])[:8]]
        variances.append(noise_of(pilots, 8 / 24).variance)
    assert np.mean(variances) == pytest.approx(1, rel=0.05)


def test_case_noise_is_that_of_a_bootstrap_of_groups() -> None:
    rng = np.random.default_rng(3)
    groups = np.sort(rng.integers(0, 40, 100))
    _, groups = np.unique(groups, return_inverse=True)
    cases = rng.normal(0, 0.2, (3, 100)) + rng.normal(0, 0.3, (3, groups.max() + 1))[:, groups]
    cases[:, ::7] = np.nan
    found = case_variances(FoldTable(np.nanmean(cases, axis=1), cases, groups), 0)
    count = int(groups.max()) + 1
    resampled = resampled_means((cases[0] - cases).T, groups, group_weights(count, 20_000, "test"))
    assert found[0] == 0
    # A bootstrap of G groups is too narrow by (G - 1) / G.
    assert found[1:] == pytest.approx(resampled.var(axis=0)[1:] * count / (count - 1), rel=0.05)


def test_what_no_single_case_has_a_share_in_has_no_case_noise() -> None:
    assert case_variances(FoldTable(np.array([0.8, 0.7])), 0).tolist() == [0, 0]


def certain(lead: float) -> list[FoldTable]:
    """Three configurations on two folds: the first leads by the same in every case."""
    cases = np.array([0.8, 0.8 - lead, 0.8 - lead])[:, None] + np.linspace(-0.1, 0.1, 20)
    return [FoldTable(cases.mean(axis=1), cases, np.arange(20))] * 2


def test_noise_of_training_enters_a_bound_that_cases_are_certain_of() -> None:
    quiet = leads_of(certain(0.1), Noise(1e-8, 20), 0.01)
    noisy = leads_of(certain(0.1), Noise(0.05**2, 20), 0.01)
    assert quiet.best == noisy.best == 0
    assert quiet.leads.tolist() == pytest.approx([0, 0.1, 0.1])
    assert quiet.bounds[1] == pytest.approx(0.1, abs=0.001)
    assert noisy.bounds[1] < 0


def test_noise_is_never_less_than_that_of_cases() -> None:
    rng = np.random.default_rng(4)
    cases = np.array([[0.8], [0.7], [0.7]]) + rng.normal(0, 0.1, (3, 30))
    fold = FoldTable(cases.mean(axis=1), cases, np.arange(30))
    found = leads_of([fold], Noise(1e-12, 20), 0.01)
    errors = (found.leads - found.bounds)[1:] / critical_lead(2, 20, 0.01)
    assert (errors >= np.sqrt(case_variances(fold, 0)[1:]) - 1e-12).all()


def test_without_an_estimate_nobody_is_behind() -> None:
    found = leads_of(certain(0.5), Noise(float("nan"), 0), 0.01)
    assert found.bounds.tolist() == [0, -np.inf, -np.inf]
