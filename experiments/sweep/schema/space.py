"""The forms in which `search.space` says what a key is drawn from."""

from __future__ import annotations

from typing import Any, Literal

Kind = Literal["uniform", "log_uniform", "int", "choice"]

KINDS: tuple[Kind, ...] = ("uniform", "log_uniform", "int", "choice")
"""The name of each form; the first three take two bounds, the last a list of values."""

BOUNDS: dict[str, tuple[str, ...]] = {
    "uniform": ("low", "high"),
    "log_uniform": ("low", "high"),
    "int": ("low", "high", "step", "log"),
}
"""What a range may say instead of ``[low, high]``."""

WHEN = "when"
"""The key beside a form: the settings that the key is drawn for."""


def draw_schema() -> dict[str, Any]:
    """The JSON Schema of any key's entry, for ``#/$defs/Draw``."""
    choice = {"type": "array", "minItems": 1}
    return {
        "type": "object",
        "properties": {**{kind: _range(kind) for kind in BOUNDS}, "choice": choice, WHEN: {"$ref": "#/$defs/When"}},
        "oneOf": [{"required": [kind]} for kind in KINDS],
        "additionalProperties": False,
    }


def draw_of(field: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of one key's entry. field: of the setting's own values."""
    return {"$ref": "#/$defs/Draw", "properties": {"choice": {"items": field}}}


def when_schema(fields: dict[str, dict[str, Any]], below: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of `when`, for ``#/$defs/When``.

    fields: dotted key -> schema of its values. below: patterns of keys inside those.
    """
    return {
        "type": "object",
        "description": "Drawn only where these settings have this value, or one of these; else as the file says.",
        "properties": {key: {"anyOf": [field, {"type": "array", "items": field}]} for key, field in fields.items()},
        "patternProperties": below,
        "additionalProperties": False,
        "minProperties": 1,
    }


def _range(kind: str) -> dict[str, Any]:
    number = {"type": "integer" if kind == "int" else "number"}
    named: dict[str, Any] = {"low": number, "high": number}
    if kind == "int":
        named |= {"step": {"type": "integer", "minimum": 1}, "log": {"type": "boolean"}}
    return {
        "anyOf": [
            {"type": "array", "items": number, "minItems": 2, "maxItems": 2},
            {"type": "object", "properties": named, "required": ["low", "high"], "additionalProperties": False},
        ]
    }
