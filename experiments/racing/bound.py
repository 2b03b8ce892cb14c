"""When a lead is real: a confidence bound of how far the best is ahead, with all the noise that there is in it.

A fold's score has two kinds of noise. Which patients it was tested on is seen in the cases: the paired differences of
two configurations, by groups. What training made of seeds and of the training part is not: it shows only from fold to
fold. Both are in the spread of fold-level differences, which is pooled over all configurations, for two folds of
two configurations alone tell next to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_NODES = 96


@dataclass(frozen=True, eq=False)
class FoldTable:
    """The scores of M configurations on one fold; larger is better.

    scores: (M,) the objective of the fold. cases: (M, N) of each test case, NaN where it has none; None for an
    objective of whole folds. groups: (N,) integers, the group of each case.
    """

    scores: np.ndarray
    cases: np.ndarray | None = None
    groups: np.ndarray | None = None

    def of(self, rows: np.ndarray) -> FoldTable:
        """The table of some of the configurations."""
        return FoldTable(self.scores[rows], None if self.cases is None else self.cases[rows], self.groups)


@dataclass(frozen=True)
class Noise:
    """The variance of one configuration's score on one fold that neither configuration nor fold explains.

    freedom: degrees of freedom that it was estimated with; 0 where it could not be (the variance is then NaN).
    """

    variance: float
    freedom: int


@dataclass(frozen=True, eq=False)
class Leads:
    """How far the best is ahead. best: its row. leads, bounds: (M,) of the mean over folds; the best's own are 0."""

    best: int
    leads: np.ndarray
    bounds: np.ndarray


def noise_of(scores: np.ndarray, selected: float = 1.0) -> Noise:
    """The noise in scores (M, n) of M configurations on the same n folds.

    The mean square of what an effect of each configuration and one of each fold leave over, (M - 1)(n - 1) degrees.
    selected: the share of all configurations that these are, the best of them on the first fold. Where configurations
    are equal the best are the lucky ones, whose luck spreads less than that of all; this is put right (`_restriction`).
    """
    rows, folds = scores.shape
    freedom = (rows - 1) * (folds - 1)
    if freedom < 1:
        return Noise(math.nan, 0)
    residuals = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    restricted = (1 + _restriction(selected)) / 2
    return Noise(float(np.square(residuals).sum()) / freedom / restricted, freedom)


def leads_of(folds: list[FoldTable], noise: Noise, alpha: float) -> Leads:
    """The lead of the best on these folds over each configuration, and its lower bound.

    With probability 1 - alpha at least, no configuration that is truly the best has a bound above 0, whichever leads.
    folds: of the same M configurations. Without an estimate of the noise every bound is minus infinity.
    """
    means = np.mean([fold.scores for fold in folds], axis=0)
    best = int(means.argmax())
    leads = means[best] - means
    rivals = len(means) - 1
    if not noise.freedom or not rivals:
        return Leads(best, leads, np.where(np.arange(len(means)) == best, 0.0, -np.inf))
    per_case = np.mean([case_variances(fold, best) for fold in folds], axis=0)
    typical = per_case[np.arange(len(means)) != best].mean()
    # A pair whose cases differ more than is usual has so much more noise; and no less than cases alone have.
    variances = max(2 * noise.variance, typical) + np.maximum(0.0, per_case - typical)
    errors = np.sqrt(variances / len(folds))
    bounds = leads - critical_lead(rivals, noise.freedom, alpha) * errors
    bounds[best] = 0.0
    return Leads(best, leads, bounds)


def case_variances(fold: FoldTable, best: int) -> np.ndarray:
    """The variance of the mean paired difference from the best that other patients would give, (M,).

    What a bootstrap that resamples groups has in the limit of many resamples (Davison and Hinkley 1997, section 2.7).
    Zeros for an objective of whole folds, and with fewer than two groups.
    """
    nothing = np.zeros(len(fold.scores))
    if fold.cases is None or fold.groups is None:
        return nothing
    differences = fold.cases[best] - fold.cases
    defined = ~np.isnan(differences)
    counts = defined.sum(axis=1)
    filled = np.where(defined, differences, 0.0)
    means = np.divide(filled.sum(axis=1), counts, out=nothing.copy(), where=counts > 0)
    centred = np.where(defined, differences - means[:, None], 0.0)
    codes, groups = np.unique(fold.groups, return_inverse=True)
    if codes.size < 2:
        return nothing
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(codes.size))
    sums = np.add.reduceat(centred[:, order], starts, axis=1)
    present = np.add.reduceat(defined[:, order], starts, axis=1).astype(bool).sum(axis=1)
    enlarged = np.divide(present, present - 1, out=nothing.copy(), where=present > 1)
    return np.divide(enlarged * np.square(sums).sum(axis=1), np.square(counts), out=nothing, where=counts > 0)


@lru_cache(maxsize=4096)
def critical_lead(rivals: int, freedom: int, alpha: float) -> float:
    """By how many standard errors the luckiest of `rivals` leads over one that is as good, with probability alpha.

    The standard error is that of one difference, with `freedom` degrees of freedom. Dunnett 1955, Journal of the
    American Statistical Association 50, one-sided; for one rival it is the quantile of Student's t.
    """
    from scipy.optimize import brentq
    from scipy.special import chdtri, ndtr

    luck, likelihood = np.polynomial.hermite_e.hermegauss(_NODES)
    likelihood = likelihood / likelihood.sum()
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    # Far leads come of estimates of the noise that are much too small: most nodes are put there.
    share = ((nodes + 1) / 2) ** 4
    weights = weights / 2 * 4 * ((nodes + 1) / 2) ** 3
    scale = np.sqrt(chdtri(freedom, 1 - share) / freedom)

    def exceeded(lead: float) -> float:
        below = ndtr(luck + lead * math.sqrt(2) * scale[:, None]) ** rivals
        return float(weights @ ((1 - below) @ likelihood)) - alpha

    highest = 8.0
    while exceeded(highest) > 0:
        highest *= 2
    return float(brentq(exceeded, 0.0, highest, xtol=1e-9))


def _restriction(share: float) -> float:
    """The variance of the highest `share` of a standard normal sample, 1 for all of it."""
    from scipy.special import ndtri

    if share >= 1:
        return 1.0
    threshold = float(ndtri(1 - share))
    hazard = math.exp(-threshold * threshold / 2) / math.sqrt(2 * math.pi) / share
    return 1 + threshold * hazard - hazard * hazard
