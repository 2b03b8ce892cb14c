"""Losses of a drawn mask: logits (B, C, H, W) and a target in [0, 1] of that shape -> a scalar.

C = 1: the logit of the lesion. C > 1: one logit for each class, channel 0 the background, and a target that is one-hot.
Targets may be soft (two masks mixed by mix-up). A loss is a factory ``(channels, *, options)`` in any file of this
folder; most know one class alone, and `one_class` has them judge each of several against the rest.

Factories import torch only when called: the sweep file is checked against the names without it. Every loss works in
float32 whatever the network computed in, because the sums over a batch of pixels inside Dice do not fit the 8 bits of a
bfloat16 mantissa.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.registry import Registry

if TYPE_CHECKING:
    from torch import nn

SEGMENTATION_LOSSES: Registry = Registry("segmentation loss")
"""Name -> factory ``(channels: int = 1, *, options) -> nn.Module``."""

COMBINATION = "combination"
"""The name under which `build_segmentation_loss` takes a weighted sum of registered losses; itself not registered."""


def build_segmentation_loss(name: str, options: Mapping[str, Any], channels: int = 1) -> nn.Module:
    """A loss of logits and target, both (B, channels, H, W), by its name.

    name: a registered one; or ``combination``, with options ``{"losses": {name: {"weight": w, option: value}}}``,
    for the sum of w times each loss, without normalisation of the weights (1 where there is none).
    Raises UserError for a name that is not registered, ValueError for a combination of nothing.
    """
    if name != COMBINATION:
        return SEGMENTATION_LOSSES[name](channels, **options)
    losses = {each: dict(inside) for each, inside in options["losses"].items()}
    if not losses:
        raise ValueError("a combination needs at least one loss")
    weights = {each: float(inside.pop("weight", 1.0)) for each, inside in losses.items()}
    # Sums in floating point depend on their order, so that it must not depend on how a file was written.
    return weighted_sum(
        *((weights[each], build_segmentation_loss(each, losses[each], channels)) for each in sorted(losses))
    )


def one_class(loss: nn.Module, channels: int) -> nn.Module:
    """A loss of one class' logits, for any number of channels, in float32 even inside autocast.

    Several channels: the mean over all classes, the background too, each against the rest (`OneVersusRest`).
    """
    from utils.losses.modules import InFloat32, OneVersusRest

    return InFloat32(loss if channels == 1 else OneVersusRest(loss))


def weighted_sum(*terms: tuple[float, nn.Module]) -> nn.Module:
    """The weighted sum of losses."""
    from utils.losses.modules import WeightedSum

    return WeightedSum(terms)
