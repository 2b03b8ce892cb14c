"""Kinds of attention that are guided by a gate: the feature that comes up from below in the decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from models.attention.registry import ATTENTION
from utils.errors import Problem, UserError

if TYPE_CHECKING:
    from torch import nn

Reduction = Annotated[int, Field(ge=1)]

FEWEST = 4
"""Channels to which a reduction goes down at most."""


@ATTENTION.register("ag")
def ag(channels: int, gate_channels: int, *, reduction: Reduction = 2) -> nn.Module:
    """Additive attention gate (Oktay et al. 2018, arXiv 1804.03999): where a skip is worth listening to.

    Raises UserError for a decoder without gates.
    """
    from models.attention.modules.additive_gate import AdditiveGate

    if gate_channels == 0:
        from models.decoders import DECODERS, places_attention

        raise UserError(
            Problem(
                where="model.attention",
                message="needs a decoder with a gate, the feature that comes up from below, for every skip",
                value="ag",
                choices=tuple(name for name in DECODERS if places_attention(name)),
            )
        )
    return AdditiveGate(channels, gate_channels, max(channels // reduction, FEWEST))


@ATTENTION.register("aca")
def aca(channels: int, gate_channels: int, *, reduction: Reduction = 16) -> nn.Module:
    """What the decoder `aca` does on its skips: channel and spatial attention asked of skip and gate together.

    Without a gate the skip guides itself.
    """
    from models.attention.modules.aca import AcaAttention

    return AcaAttention(channels, gate_channels, max(channels // reduction, FEWEST))
