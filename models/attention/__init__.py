"""Attention on skip connections by name.

A kind is a factory `(channels, gate_channels, *, options) -> nn.Module` decorated with `ATTENTION.register(name)`, in
any file of this folder; the module maps a skip (B, channels, h, w) and a gate (B, gate_channels, h, w) to a skip of the
same shape. Decoders that have a gate (the feature that comes up from below) place the kind themselves; to any other
decoder it is applied on the encoder's features before the decoder sees them, with `gate_channels` 0 and no gate (None):
a kind that cannot do without one raises UserError then.

Importing the package imports no torch: the factories here import what they build with, from `modules`.
"""

import importlib
import pkgutil

from models.attention.registry import ATTENTION, Attend

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["ATTENTION", "Attend"]
