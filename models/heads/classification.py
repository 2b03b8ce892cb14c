"""Heads that diagnose, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from utils.registry import Registry

if TYPE_CHECKING:
    from torch import nn

CLASSIFICATION_HEADS: Registry[Callable[..., nn.Module | None]] = Registry("classification head")

Dropout = Annotated[float, Field(ge=0, lt=1)]
Feature = Literal["after_bottleneck", "before_bottleneck"]


@CLASSIFICATION_HEADS.register("pooled")
def pooled(
    channels: int,
    classes: int,
    *,
    dropout: Dropout = 0.2,
    pooling: Literal["avg", "max"] = "avg",
    feature: Feature = "after_bottleneck",
) -> nn.Module:
    """Global pooling of the deepest feature, dropout, linear: smp's head.

    feature: what is pooled. Latent augmentation changes the one after the bottleneck.
    """
    from models.heads.modules.pooled import PooledHead

    return PooledHead(channels, classes, dropout, pooling, feature)


@CLASSIFICATION_HEADS.register("masked")
def masked(
    channels: int,
    classes: int,
    *,
    dropout: Dropout = 0.2,
    feature: Feature = "after_bottleneck",
    detach: bool = True,
) -> nn.Module:
    """The mean of the deepest feature under the predicted mask, dropout, linear: segments first, then diagnoses that.

    feature: as for `pooled`.
    detach: whether the diagnosis must not move the mask.
    """
    from models.heads.modules.masked import MaskedHead

    return MaskedHead(channels, classes, dropout, feature, detach)


@CLASSIFICATION_HEADS.register("none")
def none(channels: int, classes: int) -> None:
    """No diagnosis."""
    return None
