"""Datasets: where the cases of a study come from. One registered class each."""

from utils.datasets.case import DATASETS, Case, Dataset

# Importing the file of a dataset is what registers it; they import `case`, so it comes first.
from utils.datasets import busi as busi  # isort: skip
from utils.datasets import phantom as phantom  # isort: skip

__all__ = ["DATASETS", "Case", "Dataset", "busi", "phantom"]
