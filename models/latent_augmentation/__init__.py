"""Augmentation of features by name: what happens in training to the bottleneck's output of minority classes' samples.

A kind is a factory `(*, options) -> LatentAugmentation` (or None) decorated with `LATENT_AUGMENTATIONS.register(name)`,
in any file of this folder. Importing the package imports no torch: what needs it lies in `modules` and in
`latent_augmentation`, the base class.
"""

import importlib
import pkgutil

from models.latent_augmentation.minority import minority_classes
from models.latent_augmentation.registry import LATENT_AUGMENTATIONS

for _module in pkgutil.iter_modules(__path__):
    if _module.name != "latent_augmentation":  # the base class, which registers nothing and imports torch
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["LATENT_AUGMENTATIONS", "minority_classes"]
