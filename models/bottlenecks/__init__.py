"""Bottlenecks by name: what happens to the encoder's deepest feature before decoder and classification head read it.

A bottleneck is a factory `(channels, *, options) -> nn.Module` decorated with `BOTTLENECKS.register(name)`, in any file
of this folder; the module maps (B, channels, h, w) to the same shape, at any h and w. Importing the package imports no
torch: what needs it lies in `modules`.
"""

import importlib
import pkgutil

from models.bottlenecks.bottleneck import BOTTLENECKS

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["BOTTLENECKS"]
