"""The sweep file as a model: the settings, and what is asked about them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from experiments.sweep.schema.part import Part, Registered
from experiments.sweep.schema.search import Notify, Racing, Resources, SearchSettings
from experiments.sweep.schema.settings import Settings

_TABLES = ("_folds", "_epochs", "_cases", "_audit", "_cascade", "_classification")


def _no_table(name: str) -> str:
    if name.endswith(_TABLES):
        text = "must not end in {ending}: {sweep}{ending} is a table of the sweep {sweep}"
        ending = next(ending for ending in _TABLES if name.endswith(ending))
        raise PydanticCustomError("name", text, {"ending": ending, "sweep": name.removesuffix(ending) or "before it"})
    return name


# A name becomes a folder, so that it may hold nothing that means something to a file system.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80), AfterValidator(_no_table)]


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
    notify: Notify = Field(default_factory=Notify)
    """Who is told when the sweep ends."""
    tracking: Annotated[Part, Registered("experiments.tracking", "TRACKERS")] = Part("none")
    """The dashboard that mirrors the sweep: mlflow, wandb or tensorboard, or {mlflow: {uri: http://127.0.0.1:5000}}."""
