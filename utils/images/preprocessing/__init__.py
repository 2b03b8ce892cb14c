"""What is done once to every image, before it is resized and cached: a registered step each.

Steps look at one image alone; nothing here learns from a data set, so nothing can leak between folds. That is why
Nyul's histogram landmarks are missing: they are learnt from many images, and a cache is made before there are folds.

No step moves a pixel, so that masks and predictions stay where they are and metrics at the image's own resolution.
That is why borders and burned-in text are blanked and painted over rather than cropped away.

A step decorated with ``PREPROCESSING.register(name)`` in any file of this folder is found by itself.
"""

import importlib
import pkgutil

from utils.images.preprocessing.step import PREPROCESSING, PREPROCESSING_VERSION, check_order, preprocess

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["PREPROCESSING", "PREPROCESSING_VERSION", "check_order", "preprocess"]
