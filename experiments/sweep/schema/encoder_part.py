"""The encoder's name, which no single registry holds, and the options that our own encoders have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from experiments.sweep.schema.part import Part, checked_options, options_schema
from utils.errors import UserError
from utils.registry import Registry


@dataclass(frozen=True)
class KnownEncoder:
    """Annotation of a `Part` field: an encoder of smp, of timm (``tu-<name>``), or one of ours with its options."""

    def registry(self) -> Registry:
        """The encoders that have options: ours."""
        from models.encoders import ENCODERS

        return ENCODERS

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        from models.encoders import ENCODERS, encoder_names

        names = list(encoder_names())
        options = {name: options_schema(ENCODERS, name) for name in ENCODERS}
        return {
            "anyOf": [
                {"type": "string", "enum": names},
                {"type": "string", "pattern": "^tu-"},
                {"type": "object", "properties": options, "additionalProperties": False, "maxProperties": 1},
            ]
        }

    def _check(self, part: Part) -> Part:
        from models.encoders import ENCODERS, check_encoder

        try:
            check_encoder(part.name)
        except UserError as error:
            problem = error.problems[0]
            context = {"text": problem.message, "choices": problem.choices, "nearest": problem.nearest}
            raise PydanticCustomError("unknown_name", "{text}", context) from None
        # Ours are registered by the time that one of their names has been found.
        if part.name in ENCODERS:
            return Part(part.name, checked_options(ENCODERS, part.name, part.options, (part.name,)))
        if part.options:
            raise PydanticCustomError("no_options", "this encoder has no options: write its name alone")
        return part
