"""The options that U-shaped decoders share: how many levels, and how many channels on each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from utils.errors import Problem, UserError

Channels = tuple[Annotated[int, Field(ge=1)], ...]
Depth = Literal[3, 4, 5]
Dropout = Annotated[float, Field(ge=0, lt=1)]


def one_a_level(channels: Channels, depth: int) -> Channels:
    """The first `depth` of the channels. Raises UserError if there are fewer."""
    if len(channels) < depth:
        raise UserError(
            Problem(
                where="model.decoder",
                message=f"`channels` needs one number for each of the {depth} levels",
                value=list(channels),
            )
        )
    return channels[:depth]
