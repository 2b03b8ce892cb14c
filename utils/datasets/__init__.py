"""Datasets: where the cases of a study come from. One registered class each, in any file of this folder.

Those of a field have a folder of their own: `mammography`, `histology`.
"""

import importlib
import pkgutil

from utils.datasets.case import DATASETS, Case, Dataset

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["DATASETS", "Case", "Dataset"]
