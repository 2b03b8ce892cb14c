"""Metrics: segmentation per case, diagnosis per fold. Registered in one place each; needs no torch."""

# Importing the files of a kind is what registers its metrics, in the order of the CSV columns.
from utils.metrics import overlap as overlap  # noqa: I001
from utils.metrics import classification as classification
from utils.metrics.metric import METRICS, FoldPredictions, MaskPair, Metric, case_metric, fold_metric
from utils.metrics.scores import case_scores, fold_scores, mean_over_cases, mean_scores, metric_names

__all__ = [
    "METRICS",
    "FoldPredictions",
    "MaskPair",
    "Metric",
    "case_metric",
    "case_scores",
    "classification",
    "fold_metric",
    "fold_scores",
    "mean_over_cases",
    "mean_scores",
    "metric_names",
    "overlap",
]
