"""The journey file as a model: sweeps that follow one another, each fed by those before it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from experiments.sweep.schema.settings import Section
from experiments.sweep.schema.sweep_file import Name


class JourneyFile(Section):
    """Several questions, one command: the sweeps of `stages`, one after the other."""

    name: Name
    """Names the journey: letters, digits, and _ - . between them. Results are kept by the names of the stages."""
    question: Annotated[str, Field(max_length=1000)] = ""
    """What the journey is to answer, in one sentence."""
    stages: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=100)]
    """The sweep files in their order, each a path relative to this file."""
