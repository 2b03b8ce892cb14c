"""Decoders by name: from an encoder's features to a map that the segmentation head reads.

A decoder is a factory `(encoder, *, options) -> Decoder` decorated with `DECODERS.register(name)`, in any file of
this folder: the files are found by themselves. One that places the attention on its skips itself is a factory
`(encoder, attend, *, options)` (`models.attention`); for the others it is done on the encoder's features. Its
keyword-only parameters are its options in a sweep file, and two of them have a meaning of their own: an option `depth`
is the number of levels it wants of the encoder (5 if it has no such option), an option `output_stride` below 32 asks
for an encoder whose last strides are replaced by dilation. `encoder_needs` reads them before the encoder is built. A
pair that cannot work raises UserError while it is built, so that the plan, which builds every network without memory
(`models.cost`), says so before anything runs.

Importing this package imports no torch, so that sweep files are checked quickly: the factories here import what they
build with. A decoder of one's own, which is an `nn.Module`, may import torch.
"""

import importlib
import pkgutil

from models.decoders.registry import DECODERS, encoder_needs, places_attention

for _module in pkgutil.iter_modules(__path__):
    if _module.name != "decoder":  # the base class, which registers nothing and imports torch
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["DECODERS", "encoder_needs", "places_attention"]
