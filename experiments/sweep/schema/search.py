"""What a sweep varies, when it may stop early, and what it may use. None of it is part of a configuration's id."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from experiments.sweep.schema.settings import Section, Switch


def _not_yet(value: Any) -> Any:
    if value:
        raise PydanticCustomError("not_available", "is not available in this version; leave it out")
    return value


def _auto_or_number(value: Any) -> Any:
    if value == "auto" or (type(value) in (int, float) and 0 <= value <= 1024):
        return value
    raise PydanticCustomError("resource", "must be auto or a number from 0 to 1024")


def _auto_or_count(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= 65_536):
        return value
    raise PydanticCustomError("resource", "must be auto or a whole number of at least 1")


def _auto_schema(kind: str, minimum: int) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": kind, "minimum": minimum}]})


AutoOrNumber = Annotated[float | Literal["auto"], PlainValidator(_auto_or_number), _auto_schema("number", 0)]
AutoOrCount = Annotated[int | Literal["auto"], PlainValidator(_auto_or_count), _auto_schema("integer", 1)]


class SearchSettings(Section):
    """What varies: the product of `grid` and `cases`, without what `exclude` drops; draws from `space` for each."""

    grid: dict[str, Any] = Field(default_factory=dict)
    """Dotted key -> the list of values that it takes; every combination is a configuration."""
    cases: list[dict[str, Any]] = Field(default_factory=list)
    """Named partial configurations, {name: ..., <dotted key>: value}: the rows of an ablation table."""
    space: dict[str, Any] = Field(default_factory=dict)
    """Dotted key -> what it is drawn from: {uniform: [low, high]}, {log_uniform: [low, high]}, {int: [low, high]} or
    {choice: [values]}, each with an optional `when`: {<dotted key>: value or values}."""
    exclude: list[dict[str, Any]] = Field(default_factory=list)
    """Combinations to leave out: a configuration that has all values of one entry is dropped."""
    sampler: Literal["tpe", "random"] = "tpe"
    """What draws from `space`: tpe learns from what was drawn before, random does not."""
    samples: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """How many configurations are drawn from `space`, for each combination of `grid` and `cases`."""


class Racing(Section):
    """Stopping configurations that can no longer win."""

    enabled: Annotated[Switch, AfterValidator(_not_yet)] = False
    """Whether hopeless configurations are stopped. Not available in this version."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """How often a race may stop the true best, over all its decisions."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.02
    """The lead, in the objective's unit, that must be exceeded with confidence."""


class Resources(Section):
    """What the runs may use."""

    gpus: AutoOrNumber = "auto"
    """GPUs of one run; fractions let several share one."""
    cpus: AutoOrCount = "auto"
    """CPU threads of one run."""
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    """How often a run is repeated whose worker died."""
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds after which a run without another epoch is ended and repeated; null: never. A run's start is in them."""
    slots: AutoOrCount = "auto"
    """Most runs at the same time."""
