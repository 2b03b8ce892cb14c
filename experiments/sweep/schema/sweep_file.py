"""The sweep file as a model: the settings, and what is asked about them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from experiments.sweep.schema.search import Racing, Resources, SearchSettings
from experiments.sweep.schema.settings import Settings

# A name becomes a folder, so that it may hold nothing that means something to a file system.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]


class SweepFile(Settings):
    """One question, one file: fixed settings, what varies, folds, objective."""

    name: Name
    """Names the results: letters, digits, and _ - . between them."""
    question: Annotated[str, Field(max_length=1000)] = ""
    """What the sweep is to answer, in one sentence."""
    base: str | None = None
    """A YAML file that this one is laid over; relative to this file."""
    search: SearchSettings = Field(default_factory=SearchSettings)
    """What varies."""
    racing: Racing = Field(default_factory=Racing)
    """Stopping configurations that can no longer win."""
    resources: Resources = Field(default_factory=Resources)
    """What the runs may use."""
