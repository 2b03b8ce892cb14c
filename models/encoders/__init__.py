"""Encoders by name: smp's own, every timm model as `tu-<name>`, and those in this folder.

An encoder is a module with `out_channels` (one entry per feature, the input's resolution first),
`output_stride` (what the height and width of its input must be divisible by), and a forward that turns images
(B, 3, H, W) into the list of its features: smp's convention, which all three sources keep.

`names` knows the names (no torch), `statistics` what each was normalised with, `building` makes them. A new
encoder is a factory decorated with `ENCODERS.register(name)` in a file of this folder; nothing else is edited.
"""

from models.encoders.names import check_encoder, encoder_names
from models.encoders.registry import ENCODERS

__all__ = ["ENCODERS", "check_encoder", "encoder_names"]
