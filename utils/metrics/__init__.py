"""Metrics: segmentation per case, diagnosis per fold. Registered in one place each; needs no torch."""

# Importing the files of a kind is what registers its metrics, in the order of the CSV columns.
from utils.metrics import overlap as overlap  # noqa: I001
from utils.metrics import boundary as boundary
from utils.metrics import instances as instances
from utils.metrics import classification as classification
from utils.metrics import ranking as ranking
from utils.metrics import calibration as calibration
from utils.metrics.masks.pair import MaskPair
from utils.metrics.metric import METRICS, FoldPredictions, Metric, case_metric, fold_metric
from utils.metrics.scores import case_scores, fold_scores, mean_over_cases, mean_scores, metric_names

__all__ = [
    "METRICS",
    "FoldPredictions",
    "MaskPair",
    "Metric",
    "boundary",
    "calibration",
    "case_metric",
    "case_scores",
    "classification",
    "fold_metric",
    "fold_scores",
    "instances",
    "mean_over_cases",
    "mean_scores",
    "metric_names",
    "overlap",
    "ranking",
]
