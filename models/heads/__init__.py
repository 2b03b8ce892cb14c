"""Heads: from a feature map to logits, of masks or of a diagnosis.

A classification head is a factory `(channels, classes, *, options) -> nn.Module` (or None) decorated with
`CLASSIFICATION_HEADS.register(name)`, in any file of this folder. Its module is called with (before, after, masks): the
encoder's deepest feature before and after the bottleneck, (B, channels, h, w) each, and the mask's foreground logits
(B, 1, H, W) over the same area; it answers (B, classes) logits. Importing the package imports no torch: what needs it
lies in `modules`, and in `segmentation`, the head of masks.
"""

import importlib
import pkgutil

from models.heads.classification import CLASSIFICATION_HEADS

for _module in pkgutil.iter_modules(__path__):
    if _module.name != "segmentation":  # it registers nothing and imports torch
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CLASSIFICATION_HEADS"]
