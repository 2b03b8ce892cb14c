"""The space of a sweep: what is drawn for each configuration of grid x cases, and what a draw makes of it.

Nothing here draws: whoever does walks the space with `Space.walk` and answers one dimension after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import ValidationError

from experiments.sweep.choices import label_of, lookup, sections
from experiments.sweep.configuration import Configuration, nested
from experiments.sweep.contradictions import contradictions
from experiments.sweep.file.layers import assign_all
from experiments.sweep.file.problems import sentence
from experiments.sweep.file.reader import Node
from experiments.sweep.schema.keys import is_part, owner, split
from experiments.sweep.schema.settings import Settings
from experiments.sweep.schema.space import Kind
from utils.identity import canonical_json

Drawn = Mapping[str, Any]
"""Dotted key -> JSON-like value, as written in the file or drawn from a range."""

# What is enumerated at most: previews of what draws may need, and finite spaces that are nearly used up.
MOST_ENUMERATED = 20_000
_MOST_PREVIEWS = 200
_SOURCE = "search.space"


class ContradictionError(Exception):
    """A draw whose values cannot be meant together; says which and why. Another one is to be made."""


@dataclass(frozen=True)
class Condition:
    """A setting that a dimension depends on.

    values: as written, any of them will do. normals: the same as the setting has them once checked.
    """

    key: str
    values: tuple[Any, ...]
    normals: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether the setting's checked value is a wanted one; a bare name stands for a part with any options."""
        return any(
            value == normal or (isinstance(wanted, str) and is_part(self.key) and part_name(value) == wanted)
            for wanted, normal in zip(self.values, self.normals, strict=True)
        )


@dataclass(frozen=True)
class Dimension:
    """One key of the space.

    low, high, step: of a range, both ends included; step and log for int alone.
    values: of a choice, as written; normals: the same as the setting has them once checked.
    """

    key: str
    kind: Kind
    low: float = 0
    high: float = 0
    step: int = 1
    log: bool = False
    values: tuple[Any, ...] = ()
    normals: tuple[Any, ...] = ()
    when: tuple[Condition, ...] = ()

    @property
    def count(self) -> float:
        """How many values there are; infinite for a range of real numbers."""
        if self.kind == "choice":
            return len(self.values)
        return (self.high - self.low) // self.step + 1 if self.kind == "int" else math.inf

    def all_values(self) -> list[Any]:
        """Every value of a choice or an int."""
        return list(self.values) if self.kind == "choice" else list(range(int(self.low), int(self.high) + 1, self.step))

    def holds(self, value: Any) -> bool:
        """Whether a value may have been drawn from here."""
        if self.kind == "choice":
            return any(type(value) is type(each) and value == each for each in self.values)
        number = type(value) is int if self.kind == "int" else type(value) is float
        return number and self.low <= value <= self.high and (self.kind != "int" or (value - self.low) % self.step == 0)

    def normal(self, value: Any) -> Any:
        """A drawn value as the setting has it once checked."""
        return self.normals[self.values.index(value)] if self.kind == "choice" else value

    def to_json(self) -> dict[str, Any]:
        """What makes two dimensions draw alike."""
        what = self.values if self.kind == "choice" else (self.low, self.high, self.step, self.log)
        return {"kind": self.kind, "what": list(what), "when": {each.key: list(each.values) for each in self.when}}


@dataclass(frozen=True)
class Template:
    """A configuration of grid x cases, to which draws are added. tree: what it was made from, without defaults."""

    configuration: Configuration
    tree: Node

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings as nested JSON-like values."""
        return nested(self.configuration.settings)


@dataclass(frozen=True)
class Space:
    """What is drawn, how, and how often for each template.

    dimensions: in the order of drawing; what one depends on comes before it. keys: in the order of the file.
    exclusions: dotted key (or ``case``) -> value, for combinations that are not to be drawn.
    """

    dimensions: tuple[Dimension, ...]
    keys: tuple[str, ...]
    sampler: Literal["tpe", "random"]
    samples: int
    templates: tuple[Template, ...]
    exclusions: tuple[Mapping[str, Any], ...] = ()
    _by_key: dict[str, Dimension] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._by_key.update({dimension.key: dimension for dimension in self.dimensions})

    def walk(self, template: int, draw: Callable[[Dimension], Any]) -> dict[str, Any]:
        """What `draw` answers for every dimension whose conditions hold, asked in turn."""
        drawn: dict[str, Any] = {}
        for dimension in self.dimensions:
            if self.is_drawn(template, dimension, drawn):
                drawn[dimension.key] = draw(dimension)
        return drawn

    def is_drawn(self, template: int, dimension: Dimension, drawn: Drawn) -> bool:
        """Whether the dimension's conditions hold, given what was drawn before it."""
        return all(each.holds(self._value(template, each.key, drawn)) for each in dimension.when)

    def accepts(self, template: int, drawn: Drawn) -> bool:
        """Whether these values could have been drawn: all that are due, no other, each from its dimension."""
        if not all(key in self._by_key and self._by_key[key].holds(value) for key, value in drawn.items()):
            return False
        try:
            return self.walk(template, lambda dimension: drawn[dimension.key]).keys() == drawn.keys()
        except KeyError:
            return False

    def configuration(self, template: int, drawn: Drawn, number: int) -> Configuration:
        """The template's configuration with the drawn values in it.

        number: counts the draws of the template from 1, for the name. Raises ContradictionError.
        """
        start = self.templates[template]
        # In the order of drawing: a part before its options.
        values = [(split(each.key), node_of(drawn[each.key])) for each in self.dimensions if each.key in drawn]
        tree = assign_all(start.tree, values)
        settings = _settings(tree)
        chosen = {key: drawn[key] for key in self.keys if key in drawn}
        case = start.configuration.varied.get("case")
        for pattern in self.exclusions:
            if matches(pattern, case, nested(settings)):
                raise ContradictionError(f"search.exclude drops {canonical_json(dict(pattern))}")
        # Keys that are not drawn have no value of their own here, as a trial of Optuna has none.
        return Configuration(settings, {**start.configuration.varied, **chosen}, self._name(start, chosen, number))

    def previews(self, template: int) -> Iterator[Configuration]:
        """Configurations that between them need all data and encoders that draws can need.

        None if these cannot be listed or are too many. Other keys are as in the file.
        """
        listed = [each for each in self.dimensions if _needs_preparation(each.key) and each.kind == "choice"]
        if not listed or math.prod(len(each.values) for each in listed) > _MOST_PREVIEWS:
            return
        for values in itertools.product(*(each.values for each in listed)):
            given = dict(zip((each.key for each in listed), values, strict=True))
            drawn = {
                each.key: given[each.key]
                for each in listed
                if all(condition.key not in self._by_key or condition.key in given for condition in each.when)
                and self.is_drawn(template, each, given)
            }
            try:
                yield self.configuration(template, drawn, 0)
            except ContradictionError:
                continue

    def every(self, template: int) -> list[dict[str, Any]] | None:
        """Every possible draw of a template, contradictions included; None if there are too many to list."""
        if math.prod(each.count for each in self.dimensions) > MOST_ENUMERATED:
            return None
        draws: list[dict[str, Any]] = [{}]
        for dimension in self.dimensions:
            draws = [
                {**draw, dimension.key: value} if due else draw
                for draw in draws
                for due in [self.is_drawn(template, dimension, draw)]
                for value in (dimension.all_values() if due else [None])
            ]
        return draws

    def to_json(self) -> dict[str, Any]:
        """What makes two spaces draw alike; neither the order of the keys nor the number of samples."""
        dimensions = {each.key: each.to_json() for each in self.dimensions}
        return {"sampler": self.sampler, "space": dimensions, "exclude": [dict(each) for each in self.exclusions]}

    def _value(self, template: int, key: str, drawn: Drawn) -> Any:
        """The checked value that a setting has by now: drawn, inside of a drawn part, or as in the template."""
        if key in drawn:
            return self._by_key[key].normal(drawn[key])
        above = owner(key)
        if above in drawn:
            return inside(self._by_key[above].normal(drawn[above]), key.removeprefix(f"{above}."))
        return lookup(self.templates[template].settings, key)

    def _name(self, template: Template, chosen: Drawn, number: int) -> str:
        lasts = [key.rpartition(".")[2] for key in self.keys]
        words = []
        for key, value in chosen.items():
            last = key.rpartition(".")[2]
            name = last if lasts.count(last) == 1 else key
            words.append(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={label_of(value)}")
        before = "" if template.configuration.name == "base" else f"{template.configuration.name} "
        return f"{before}#{number}: {', '.join(words)}"


def part_name(value: Any) -> Any:
    """The name of a part from its JSON-like value; any other value as it is."""
    return next(iter(value)) if isinstance(value, Mapping) and len(value) == 1 else value


def inside(value: Any, key: str) -> Any:
    """The value at a dotted key inside of a JSON-like value; None where there is none."""
    for step in key.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def matches(pattern: Mapping[str, Any], case: str | None, values: Mapping[str, Any]) -> bool:
    """Whether a configuration, by its case and its nested settings, has all values of an entry of `exclude`."""
    return all(wanted == (case if key == "case" else lookup(values, key)) for key, wanted in pattern.items())


def node_of(value: Any) -> Node:
    """A JSON-like value as a tree."""
    if isinstance(value, Mapping):
        return Node({key: node_of(item) for key, item in value.items()}, _SOURCE)
    return Node([node_of(item) for item in value], _SOURCE) if isinstance(value, list) else Node(value, _SOURCE)


def _settings(tree: Node) -> Settings:
    """The settings of a tree. Raises ContradictionError."""

    def given(key: str) -> bool:
        node = tree.at(split(key))
        return node is not None and node.content is not None

    try:
        settings = Settings.model_validate(sections(tree))
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        raise ContradictionError(f"{'.'.join(map(str, item['loc']))} {sentence(item)}") from None
    for found in contradictions(settings, given):
        raise ContradictionError(f"{found.keys[0]}: {found.message}")
    return settings


def _needs_preparation(key: str) -> bool:
    return key.startswith(("dataset.", "model.encoder"))
