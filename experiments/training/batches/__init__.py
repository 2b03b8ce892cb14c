"""Batches of a fold's cases in an order that a seed determines: from the memory-mapped cache, or from the device.

Not in here: what is decoded and resized once (`utils.images.cache`), and what a random change of an image is
(`utils.images.augmentation`).
"""

from experiments.training.batches.batch import Batch
from experiments.training.batches.batches import Batches
from experiments.training.batches.cases import CaseDataset
from experiments.training.batches.fold import EVALUATED_AT_ONCE, FoldBatches, evaluation_batches, fold_batches
from experiments.training.batches.order import balanced_draws
from experiments.training.batches.resident import Resident

__all__ = [
    "EVALUATED_AT_ONCE",
    "Batch",
    "Batches",
    "CaseDataset",
    "FoldBatches",
    "Resident",
    "balanced_draws",
    "evaluation_batches",
    "fold_batches",
]
