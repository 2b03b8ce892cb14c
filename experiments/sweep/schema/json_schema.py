"""The JSON Schema of a sweep file, from which editors complete keys and names; kept in `sweeps/schema.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.sweep.schema.keys import OPTIONS, is_part, variable_keys
from experiments.sweep.schema.sweep_file import SweepFile

SCHEMA_FILE = Path(__file__).parents[3] / "sweeps" / "schema.json"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a sweep file; names come from the registries."""
    schema = SweepFile.model_json_schema(by_alias=True)
    fields = _setting_schemas(schema)
    open_keys = [key for key in variable_keys() if is_part(key) or key == OPTIONS]
    below: dict[str, Any] = {f"^{key.replace('.', '[.]')}[.].+$": {} for key in open_keys}
    search = schema["$defs"]["SearchSettings"]["properties"]
    search["grid"] |= {
        "properties": {key: {"type": "array", "minItems": 1, "items": field} for key, field in fields.items()},
        "patternProperties": {pattern: {"type": "array", "minItems": 1} for pattern in below},
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
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """What `sweeps/schema.json` must hold."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def _setting_schemas(schema: dict[str, Any]) -> dict[str, Any]:
    """Dotted key -> a reference to the schema of that setting."""
    references = {}
    for key in variable_keys():
        at, place = schema, "#"
        for step in key.split("."):
            if "$ref" in at:
                place = at["$ref"]
                at = schema["$defs"][place.rpartition("/")[2]]
            at, place = at["properties"][step], f"{place}/properties/{step}"
        references[key] = {"$ref": place}
    return references
