"""The registry of bottlenecks, and the one that does nothing."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from utils.registry import Registry

BOTTLENECKS: Registry[Callable[..., nn.Module]] = Registry("bottleneck")


@BOTTLENECKS.register("identity")
def identity(channels: int) -> nn.Module:
    """The feature as it is."""
    return nn.Identity()
