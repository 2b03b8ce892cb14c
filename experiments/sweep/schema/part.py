"""Names in a sweep file that stand for registered things, checked against the registry when they are read.

A registry is imported when its first name is checked, not before: a sweep file that names no
augmentation does not pay for albumentations. Errors carry the nearest valid name and the choices.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from utils.errors import nearest
from utils.registry import Registry


@dataclass(frozen=True)
class Part:
    """A registered part and its options: in YAML and JSON ``name`` or ``{name: {option: value}}``.

    Once checked, `options` holds every option, with defaults filled in.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.options.items())})" if self.options else self.name

    def to_json(self) -> str | dict[str, Any]:
        """What stands for the part in YAML and JSON."""
        return {self.name: dict(self.options)} if self.options else self.name

    @classmethod
    def of(cls, value: Any) -> Part:
        """From what stands in YAML or JSON. Raises pydantic's custom error (a ValueError) for any other form."""
        if isinstance(value, Part):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping) and len(value) == 1:
            [(name, options)] = value.items()
            if isinstance(name, str) and isinstance(options, Mapping | None):
                return cls(name, dict(options or {}))
        raise PydanticCustomError("part", "must be a name, or {name: {option: value}}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        to_json = core_schema.plain_serializer_function_ser_schema(cls.to_json)
        return core_schema.no_info_plain_validator_function(cls.of, serialization=to_json)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": ["string", "object"]}


def unknown_name(kind: str, name: str, choices: tuple[str, ...], suggestion: str = "") -> PydanticCustomError:
    """The error of a name that is not among the choices."""
    context: dict[str, Any] = {"kind": kind, "choices": choices, "nearest": suggestion or nearest(name, choices)}
    return PydanticCustomError("unknown_name", "no such {kind}", context)


@dataclass(frozen=True)
class Registered:
    """Annotation of a `Part` or a `str` field: the name must be in a registry, the options must fit it.

    module, attribute: where the registry is.
    """

    module: str
    attribute: str

    def registry(self) -> Registry:
        """The registry itself; imports its module."""
        return getattr(importlib.import_module(self.module), self.attribute)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        registry = self.registry()
        if described.get("type") == "string":
            return {**described, "enum": list(registry)}
        options = {name: options_schema(registry, name) for name in registry}
        forms = [
            {"type": "string", "enum": list(registry)},
            {"type": "object", "properties": options, "additionalProperties": False, "maxProperties": 1},
        ]
        return {"anyOf": forms}

    def _check(self, value: Part | str) -> Part | str:
        if isinstance(value, Part):
            return self._check_part(value)
        self._check_name(value)
        return value

    def _check_part(self, part: Part) -> Part:
        self._check_name(part.name)
        return Part(part.name, checked_options(self.registry(), part.name, part.options, (part.name,)))

    def _check_name(self, name: str) -> None:
        registry = self.registry()
        if name not in registry:
            raise unknown_name(registry.kind, name, tuple(registry))


@dataclass(frozen=True)
class RegisteredOptions(Registered):
    """Annotation of a `dict` field: options of registered things, ``{name: {option: value}}``; most are left out.

    Once checked, a name that is there holds every option, with defaults filled in.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        registry = self.registry()
        options = {name: options_schema(registry, name) for name in registry if registry.options(name).model_fields}
        return {"type": "object", "properties": options, "additionalProperties": False}

    def _read(self, value: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(value, Mapping):
            raise PydanticCustomError("options", "must be a mapping of names to options")
        problems: list[InitErrorDetails] = []
        found = {name: self._options(name, inside, problems) for name, inside in value.items()}
        if problems:
            raise ValidationError.from_exception_data("options", problems)
        return {name: options for name, options in found.items() if options}

    def _options(self, name: str, given: Any, problems: list[InitErrorDetails]) -> dict[str, Any]:
        """The options of one name; what is wrong with them is added to the problems."""
        try:
            self._check_name(name)
            if not isinstance(given, Mapping | None):
                raise PydanticCustomError("options", "must be {option: value}")
            return checked_options(self.registry(), name, given or {}, (name,))
        except PydanticCustomError as error:
            problems.append(InitErrorDetails(type=error, loc=(name,), input=given if error.type == "options" else name))
        except ValidationError as error:
            problems.extend(map(again, error.errors(include_url=False)))
        return {}


def checked_options(
    registry: Registry, name: str, options: Mapping[str, Any], place: tuple[str, ...]
) -> dict[str, Any]:
    """The options of a part with defaults filled in, as JSON-like values.

    Raises pydantic's ValidationError with locations under `place`.
    """
    model = registry.options(name)
    try:
        return model.model_validate(dict(options)).model_dump(mode="json")
    except ValidationError as error:
        details = [_detail(item, tuple(model.model_fields), place) for item in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(name, details) from None


def _detail(item: Any, options: tuple[str, ...], place: tuple[str, ...]) -> InitErrorDetails:
    # The locations' own model is not known where this error is shown, so that it carries its choices.
    context: dict[str, Any] = {**item.get("ctx", {}), "text": item["msg"]}
    if item["type"] == "extra_forbidden":
        context |= {"choices": options, "nearest": nearest(str(item["loc"][-1]), options)}
        context["text"] = "no such option" if options else "this part has no options"
    kind = PydanticCustomError(item["type"], "{text}", context)
    return InitErrorDetails(type=kind, loc=(*place, *item["loc"]), input=item["input"])


def again(item: Any) -> InitErrorDetails:
    """An error of `checked_options`, to be raised with those of other names."""
    kind = PydanticCustomError(item["type"], "{text}", item["ctx"])
    return InitErrorDetails(type=kind, loc=item["loc"], input=item["input"])


def options_schema(registry: Registry, name: str) -> JsonSchemaValue:
    """The JSON schema of a part's options, for editors."""
    schema = registry.options(name).model_json_schema()
    description = (inspect.unwrap(registry[name]).__doc__ or "").strip().partition("\n")[0]
    slim: dict[str, Any] = {key: schema[key] for key in ("properties", "required") if key in schema}
    return {"type": ["object", "null"], "description": description, "additionalProperties": False, **slim}
