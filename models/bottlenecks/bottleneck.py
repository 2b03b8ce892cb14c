"""The registry of bottlenecks, and the one that does nothing; imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from utils.registry import Registry

if TYPE_CHECKING:
    from torch import nn

BOTTLENECKS: Registry[Callable[..., nn.Module]] = Registry("bottleneck")

Reduction = Annotated[int, Field(ge=1, le=64)]


@BOTTLENECKS.register("identity")
def identity(channels: int) -> nn.Module:
    """The feature as it is."""
    from torch import nn

    return nn.Identity()
