"""Losses of masks and of diagnoses. The names are known without torch; a factory imports it when called.

A loss decorated with ``SEGMENTATION_LOSSES.register(name)`` or ``CLASSIFICATION_LOSSES.register(name)`` in any file of
this folder is found by itself. The torch modules that factories build are in ``utils.losses.modules``.
"""

import importlib
import pkgutil

from utils.losses.classification import CLASSIFICATION_LOSSES, ClassWeights, class_weights_of
from utils.losses.segmentation import SEGMENTATION_LOSSES, build_segmentation_loss

for _module in pkgutil.iter_modules(__path__):
    if _module.name != "modules":  # it registers nothing and imports torch
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "CLASSIFICATION_LOSSES",
    "SEGMENTATION_LOSSES",
    "ClassWeights",
    "build_segmentation_loss",
    "class_weights_of",
]
