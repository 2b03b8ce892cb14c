"""What a sweep varies, when it may stop early, what it may use, and whom it tells. No part of a configuration's id."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from experiments.sweep.schema.settings import Section, Switch

_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")


def _auto_or_number(value: Any) -> Any:
    if value == "auto" or (type(value) in (int, float) and 0 <= value <= 1024):
        return value
    raise PydanticCustomError("resource", "must be auto or a number from 0 to 1024")


def _auto_or_count(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= 65_536):
        return value
    raise PydanticCustomError("resource", "must be auto or a whole number from 1 to 65536")


def _words(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError as error:  # a quotation mark without its other half
        text = "cannot be split into words: {reason}"
        raise PydanticCustomError("command", text, {"reason": str(error).lower()}) from None
    if not words or not words[0] or "\0" in command:
        raise PydanticCustomError("command", "must be a program and its arguments")
    return command


def _address(text: str) -> str:
    if _VARIABLE.fullmatch(text):
        return text
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        sound = False
    if not sound or any(letter.isspace() or not letter.isprintable() for letter in text):
        message = "must be a URL that begins with https:// or http://, or $NAME, an environment variable that holds one"
        raise PydanticCustomError("webhook", message)
    return text


def _store(url: str) -> str:
    scheme, mark, place = url.partition("://")
    absolute = place.startswith("/") if scheme == "file" else bool(place.strip("/"))
    if not (mark and scheme and absolute) or any(letter.isspace() or not letter.isprintable() for letter in url):
        raise PydanticCustomError("store", "must be a URL such as s3://bucket/sweeps or file:///mnt/sweeps")
    return url


def _auto_schema(kind: str, minimum: int, maximum: int) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": kind, "minimum": minimum, "maximum": maximum}]})


AutoOrNumber = Annotated[
    int | float | Literal["auto"], PlainValidator(_auto_or_number), _auto_schema("number", 0, 1024)
]
AutoOrCount = Annotated[int | Literal["auto"], PlainValidator(_auto_or_count), _auto_schema("integer", 1, 65_536)]


_Hours = Annotated[float, Field(gt=0, le=1_000_000)]


class Budget(Section):
    """What a sweep may take. Runs come in another order then: fold 0 of all, then the most promising first. None begins
    that would not end within it; what has not run waits for a larger budget."""

    hours: _Hours | None = None
    """Wall-clock hours of one command, from its first run on."""
    gpu_hours: _Hours | None = None
    """Hours of GPUs, or of slots on CPUs, of all runs that the sweep has had; a share of a GPU counts as that share."""

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.hours is not None or self.gpu_hours is not None

    @property
    def words(self) -> str:
        """The limits, for people; '' without one."""
        limits = {"hours": self.hours, "GPU-hours": self.gpu_hours}
        return " and ".join(f"{limit:g} {unit}" for unit, limit in limits.items() if limit is not None)


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
    budget: Budget = Budget()
    """When no further run begins; without a limit all run."""


class Racing(Section):
    """Stopping configurations that can no longer win."""

    enabled: Switch = False
    """Whether hopeless configurations are stopped: off for a full table, on where only contenders need to finish."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """How often a race may stop the true best, over all its decisions."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.02
    """The lead, in the objective's unit, that must be exceeded with confidence."""
    epochs: Literal["all", "asha"] = "all"
    """Whether the runs of fold 0 are all trained to their end, or only the better two thirds by validation after half
    of the epochs. Cheaper, but alpha does not cover it."""
    fold_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Largest share of a fold's configurations that run the next one, but at least two; 0.33 is the best third. Cheaper
    by far where many are nearly as good, but alpha does not cover it. 1: whoever is not stopped with confidence."""


class Resources(Section):
    """What the runs may use."""

    gpus: AutoOrNumber = "auto"
    """GPUs of one run; fractions let several share one. auto: a half, a third or a quarter of one where that is memory
    enough, by estimate and then as measured."""
    cpus: AutoOrCount = "auto"
    """CPU threads of one run."""
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    """How often a run is repeated whose worker died."""
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds after which a run without another epoch is ended and repeated; null: never. A run's start is in them."""
    slots: AutoOrCount = "auto"
    """Most runs at the same time."""
    storage: Annotated[str, Field(max_length=2000), AfterValidator(_store)] | None = None
    """The URL of a store, such as s3://bucket/sweeps, by which data and results travel between machines that share no
    folder; null: the results folder is shared."""


class Notify(Section):
    """Who is told when a sweep has ended, or has failed after its runs began."""

    command: Annotated[str, AfterValidator(_words)] | None = None
    """A program with its arguments, which gets the message on its standard input and in SWEEP_... variables. It is not
    given to a shell."""
    webhook: Annotated[str, Field(max_length=2000), AfterValidator(_address)] | None = None
    """A URL that the message is posted to as JSON, or $NAME, the environment variable that holds a secret one."""


def environment_variable(webhook: str) -> str:
    """The name of the environment variable that a webhook stands for; '' if it is a URL itself."""
    return webhook[1:] if _VARIABLE.fullmatch(webhook) else ""


def checked_address(value: Any) -> str:
    """A URL that a webhook may be. Raises ValueError for anything else, another environment variable included."""
    if not isinstance(value, str) or environment_variable(value):
        raise ValueError("it holds no URL")
    try:
        return _address(value)
    except PydanticCustomError:
        raise ValueError("it holds no URL that begins with https:// or http://") from None
