"""How sure a number of the leaderboard is: pure functions of arrays, without files or names.

Covered: mean and spread over folds (`folds`), bootstrap intervals that resample groups (`bootstrap`), the
paired comparison with the best configuration (`paired`), what follows from its p-values (`decision`), and the
ranking of a whole table (`ranking`). Not covered: which configurations are compared, and when; that is the
leaderboard's. Nor is the noise of training, but for the test over folds: intervals and tests over cases speak
of the networks that were trained, on other patients.
"""

from experiments.statistics.bootstrap import (
    RESAMPLES,
    FoldSample,
    expanded_level,
    group_weights,
    interval,
    probability_best,
    resampled_fold_metric,
    resampled_means,
    resampled_metrics,
)
from experiments.statistics.decision import ALPHA, holm, over_all_pairs, tied_with_best
from experiments.statistics.folds import corrected_t_tests, mean_over_folds, over_folds, std_over_folds
from experiments.statistics.paired import group_means, paired_bootstrap_p, rank_biserial, wilcoxon_p, wilcoxon_p_values
from experiments.statistics.ranking import FriedmanTest, critical_difference, friedman_nemenyi

__all__ = [
    "ALPHA",
    "RESAMPLES",
    "FoldSample",
    "FriedmanTest",
    "corrected_t_tests",
    "critical_difference",
    "expanded_level",
    "friedman_nemenyi",
    "group_means",
    "group_weights",
    "holm",
    "interval",
    "mean_over_folds",
    "over_all_pairs",
    "over_folds",
    "paired_bootstrap_p",
    "probability_best",
    "rank_biserial",
    "resampled_fold_metric",
    "resampled_means",
    "resampled_metrics",
    "std_over_folds",
    "tied_with_best",
    "wilcoxon_p",
    "wilcoxon_p_values",
]
