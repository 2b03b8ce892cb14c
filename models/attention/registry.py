"""The registry of attention kinds, and the one that does nothing; imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from utils.registry import Registry

if TYPE_CHECKING:
    from torch import nn

ATTENTION: Registry[Callable[..., nn.Module | None]] = Registry("attention")

Attend = Callable[[int, int], "nn.Module | None"]
"""(channels of the skip, channels of the gate) -> a module of the chosen kind, or None where there is none."""


@ATTENTION.register("none")
def none(channels: int, gate_channels: int) -> None:
    """Skips as they are."""
    return None
