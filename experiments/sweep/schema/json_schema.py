"""The JSON Schema of sweep and journey files, from which editors complete keys and names: `sweeps/schema.json`."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.sweep.schema.journey_file import JourneyFile
from experiments.sweep.schema.keys import OPTIONS, is_part, setting_keys, variable_keys
from experiments.sweep.schema.space import draw_of, draw_schema, when_schema
from experiments.sweep.schema.sweep_file import SweepFile

SCHEMA_FILE = Path(__file__).parents[3] / "sweeps" / "schema.json"

_ANNOTATIONS = ("title", "description", "default")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a sweep file, or of a journey, which has stages."""
    sweep, journey = _sweep_schema(), JourneyFile.model_json_schema()
    definitions = {**sweep.pop("$defs"), "SweepFile": sweep, "JourneyFile": journey}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": definitions,
        "if": {"required": ["stages"]},
        "then": {"$ref": "#/$defs/JourneyFile"},
        "else": {"$ref": "#/$defs/SweepFile"},
    }


def _sweep_schema() -> dict[str, Any]:
    """The schema of a sweep file; names come from the registries."""
    schema = SweepFile.model_json_schema(by_alias=True)
    fields = {key: {"$ref": place} for key, place in _places(schema, variable_keys()).items()}
    open_keys = [key for key in variable_keys() if is_part(key) or key == OPTIONS]
    below: dict[str, Any] = {f"^{key.replace('.', '[.]')}[.].+$": {} for key in open_keys}
    search = schema["$defs"]["SearchSettings"]["properties"]
    search["grid"] |= {
        "properties": {key: {"type": "array", "minItems": 1, "items": field} for key, field in fields.items()},
        "patternProperties": {pattern: {"type": "array", "minItems": 1} for pattern in below},
        "additionalProperties": False,
    }
    schema["$defs"] |= {"Draw": draw_schema(), "When": when_schema(fields, below)}
    search["space"] |= {
        "properties": {key: draw_of(field) for key, field in fields.items()},
        "patternProperties": {pattern: draw_of({}) for pattern in below},
        "additionalProperties": False,
    }
    name = {"type": "string", "minLength": 1}
    for list_name, first, required in (("cases", {"name": name}, ["name"]), ("exclude", {"case": name}, [])):
        search[list_name]["items"] = {
            "type": "object",
            "properties": {**first, **fields},
            "patternProperties": below,
            "additionalProperties": False,
            "required": required,
        }
    _accept_references(schema)
    return schema


def schema_text() -> str:
    """What `sweeps/schema.json` must hold."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def _places(schema: dict[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """Dotted key -> where the schema of that setting is: ``#/$defs/<section>/properties/<name>``."""
    places = {}
    for key in keys:
        at, place = schema, "#"
        for step in key.split("."):
            if "$ref" in at:
                place = at["$ref"]
                at = schema["$defs"][place.rpartition("/")[2]]
            at, place = at["properties"][step], f"{place}/properties/{step}"
        places[key] = place
    return places


def _accept_references(schema: dict[str, Any]) -> None:
    """Lets the winner of another sweep stand for every setting, and for every value inside of one."""
    schema["$defs"]["Reference"] = {
        "type": "string",
        "pattern": r"^\$\{winner:.+\..+\}$",
        "description": "The value that a setting has in the winner of another sweep: ${winner:<sweep>.<setting>}, "
        "or with a fallback ${winner:<sweep>.<setting>:-<value>}.",
    }
    for place in _places(schema, setting_keys()).values():
        *above, name = place.split("/")[1:]
        properties = functools.reduce(operator.getitem, above, schema)
        properties[name] = _or_reference(properties[name])


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    about = {key: value for key, value in schema.items() if key in _ANNOTATIONS}
    return {**about, "anyOf": [_inside(own), {"$ref": "#/$defs/Reference"}]}


def _inside(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with references accepted for items and properties, but not for the whole."""
    result = dict(schema)
    if "anyOf" in schema:
        result["anyOf"] = [_inside(form) for form in schema["anyOf"]]
    if "items" in schema:
        result["items"] = _or_reference(schema["items"])
    if "properties" in schema:
        result["properties"] = {name: _or_reference(value) for name, value in schema["properties"].items()}
    return result
