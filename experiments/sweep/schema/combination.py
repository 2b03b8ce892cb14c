"""Weighted sums of registered parts: ``{dice: 1, bce: 1}``, or ``{focal: {gamma: 3, weight: 0.5}, dice: 1}``.

A number is short for ``{weight: number}``, and a weight that is left out is 1. A combination of one part with weight
1 is that part, so that ``{dice: 1}`` and ``dice`` are the same experiment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from experiments.sweep.schema.part import Part, Registered, again, checked_options, options_schema, unknown_name
from utils.errors import nearest

WEIGHT = "weight"
"""The key of a part's weight beside its options, which hence no part may have as an option."""


@dataclass(frozen=True)
class Combination(Part):
    """Several parts with weights, as one `Part`.

    name: ``combination``. options: ``{"losses": {name: {"weight": w, option: value}}}``, in the order of the names,
    with defaults filled in.
    """

    def __str__(self) -> str:
        weights = {name: options[WEIGHT] for name, options in self.to_json().items()}
        own = {name: {k: v for k, v in inside.items() if k != WEIGHT} for name, inside in self.to_json().items()}
        return " + ".join(f"{weights[name]:g} {Part(name, own[name])}" for name in weights)

    def to_json(self) -> dict[str, Any]:
        """What stands for the combination in YAML and JSON."""
        return {name: dict(options) for name, options in self.options["losses"].items()}


@dataclass(frozen=True)
class Combinable(Registered):
    """Annotation of a `Part` field: a part of a registry, or a `Combination` of several."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # A method of the value, unlike that of a `Part` field: a combination has its own.
        to_json = core_schema.plain_serializer_function_ser_schema(lambda part: part.to_json())
        return core_schema.no_info_plain_validator_function(self._read, serialization=to_json)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        registry = self.registry()
        weight = {"type": "number", "exclusiveMinimum": 0}
        entries = {}
        for name in registry:
            inside = options_schema(registry, name)
            with_weight = {**inside, "properties": {**inside.get("properties", {}), WEIGHT: weight}}
            entries[name] = {"anyOf": [weight, with_weight]}
        forms = [
            {"type": "string", "enum": list(registry)},
            {"type": "object", "properties": entries, "additionalProperties": False, "minProperties": 1},
        ]
        return {"anyOf": forms}

    def _read(self, value: Any) -> Part:
        if isinstance(value, Part):
            value = value.to_json()
        if _is_combination(value):
            return self._combination(value)
        try:
            part = Part.of(value)
        except PydanticCustomError:
            message = "must be a name, {name: {option: value}}, or {name: weight, name: weight}"
            raise PydanticCustomError("part", message) from None
        return self._check_part(part)

    def _combination(self, value: Mapping[str, Any]) -> Part:
        problems: list[InitErrorDetails] = []
        losses = {name: self._entry(name, value[name], problems) for name in sorted(value)}
        if problems:
            raise ValidationError.from_exception_data("combination", problems)
        if len(losses) == 1:
            [(name, options)] = losses.items()
            if options[WEIGHT] == 1:
                return Part(name, {key: inside for key, inside in options.items() if key != WEIGHT})
        return Combination("combination", {"losses": losses})

    def _entry(self, name: str, inside: Any, problems: list[InitErrorDetails]) -> dict[str, Any]:
        """Weight and options of one part; what is wrong with them is added to the problems."""
        registry = self.registry()
        if name not in registry:
            kind = unknown_name(registry.kind, name, tuple(registry))
            problems.append(InitErrorDetails(type=kind, loc=(name,), input=name))
            return {}
        short = _is_number(inside)
        options = {WEIGHT: inside} if short else {} if inside is None else inside
        if not isinstance(options, Mapping):
            kind = PydanticCustomError("part", "must be a weight, or {option: value} with or without a weight")
            problems.append(InitErrorDetails(type=kind, loc=(name,), input=inside))
            return {}
        weight = options.get(WEIGHT, 1.0)
        if not _is_positive(weight):
            kind = PydanticCustomError("weight", "must be a positive number")
            problems.append(InitErrorDetails(type=kind, loc=(name,) if short else (name, WEIGHT), input=weight))
            weight = 1.0
        try:
            own = {key: option for key, option in options.items() if key != WEIGHT}
            return {WEIGHT: float(weight), **checked_options(registry, name, own, (name,))}
        except ValidationError as error:
            problems.extend(map(_again, error.errors(include_url=False)))
        return {}


def _is_combination(value: Any) -> bool:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        return False
    inside = next(iter(value.values()), None)
    return len(value) > 1 or _is_number(inside) or (isinstance(inside, Mapping) and WEIGHT in inside)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_positive(weight: Any) -> bool:
    try:
        return _is_number(weight) and math.isfinite(float(weight)) and float(weight) > 0
    except OverflowError:
        return False


def _again(item: Any) -> InitErrorDetails:
    """An error of `checked_options`, to be raised with those of other parts; the weight is a choice here too."""
    context = dict(item["ctx"])
    if item["type"] == "extra_forbidden":
        context |= {"choices": (*context["choices"], WEIGHT), "text": "no such option"}
        context["nearest"] = context["nearest"] or nearest(str(item["loc"][-1]), (WEIGHT,))
    return again({**item, "ctx": context})
