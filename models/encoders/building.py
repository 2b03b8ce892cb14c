"""From a name to an encoder, with pretrained weights from a local file if asked for. Never touches the network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch.overrides import TorchFunctionMode

from models.encoders.encoder import Encoder
from models.encoders.loading import load_weights
from models.encoders.names import check_encoder
from models.encoders.registry import ENCODERS, load_own_encoders
from utils.errors import Problem, UserError


def build_encoder(
    name: str,
    depth: int = 5,
    weights: Path | None = None,
    output_stride: int = 32,
    options: Mapping[str, Any] | None = None,
) -> Encoder:
    """An encoder for three-channel images.

    depth: number of halvings, 1 to 5 (some encoders ask for at least 2 or 3).
    weights: a local file from `models.weights.resolve_weights`, or None for random initialisation.
    output_stride: 8 or 16 replace the last strides by dilation; 32 leaves the encoder as it is.
    options: of an encoder of ours.

    Raises UserError if the name is unknown or the encoder cannot be built so.
    """
    check_encoder(name)
    load_own_encoders()
    try:
        encoder = _build(name, depth, output_stride, options or {})
    except (ValueError, KeyError, RuntimeError, AttributeError, TypeError, AssertionError) as error:
        # smp and timm refuse with whatever is at hand: depth out of range, no features_only, no dilation.
        request = f"depth {depth}" + (f", output stride {output_stride}" if output_stride < 32 else "")
        raise UserError(
            Problem(where="model.encoder", message=f"cannot be built with {request}: {error}", value=name)
        ) from error
    if weights is not None:
        load_weights(name, encoder, weights)
    return encoder


def _build(name: str, depth: int, output_stride: int, options: Mapping[str, Any]) -> Encoder:
    if name in ENCODERS:
        return ENCODERS[name](depth, output_stride, **ENCODERS.check(name, options))
    from segmentation_models_pytorch.encoders import get_encoder

    with _ValuelessMatrices() if name.startswith("vgg") else contextlib.nullcontext():
        encoder = get_encoder(name, in_channels=3, depth=depth, weights=None, output_stride=output_stride)
    return cast(Encoder, encoder)


class _ValuelessMatrices(TorchFunctionMode):
    """Matrices are made on the meta device. VGG's only ones are those of its classifier, which smp deletes at once.

    Their 124 million numbers, drawn twice, would be nine tenths of the time that such an encoder takes, and 0.5 GB.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and args and isinstance(args[0], tuple) and len(args[0]) == 2:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)
