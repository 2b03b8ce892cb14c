"""The registry of decoders, and what it tells of one before it is built; imports no torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from utils.registry import Registry

if TYPE_CHECKING:
    from models.decoders.decoder import Decoder

DECODERS: Registry[Callable[..., Decoder]] = Registry("decoder")


class Needs(NamedTuple):
    """What a decoder asks of the encoder."""

    depth: int
    output_stride: int


def encoder_needs(options: Mapping[str, Any]) -> Needs:
    """The depth and output stride that a decoder with these options (defaults filled in) wants of the encoder."""
    return Needs(depth=options.get("depth", 5), output_stride=options.get("output_stride", 32))


def places_attention(name: str) -> bool:
    """Whether a decoder takes the attention on its skips, as its second positional parameter, to place it itself."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(DECODERS[name]).parameters.values()
    return sum(parameter.kind in kinds for parameter in parameters) > 1
