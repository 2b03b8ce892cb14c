"""The dotted keys of the schema: which exist, which may vary, which of them hold a part."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from experiments.sweep.schema.encoder_part import KnownEncoder
from experiments.sweep.schema.part import Part, Registered
from experiments.sweep.schema.settings import Section, Settings
from utils.registry import Registry

OPTIONS = "dataset.options"
"""The setting whose own keys are not in the schema: they are the dataset's."""

METRIC_OPTIONS = "metrics"
"""The setting that holds the options of metrics."""

_NOT_VARIED = {
    "dataset.on_error": "decides which cases there are, not how they are trained on",
    "folds.use": "says how many folds are run, not what a fold is",
    "training.checkpoint_overhead": "says how much of a run a kill may cost, not how it is trained",
    "training.snapshots": "says what a run keeps, not how it is trained",
}


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section by the name that they have in YAML."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def section_of(field: FieldInfo) -> type[Section] | None:
    """The model of a field that is a mapping of further fields, else None."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def leaves(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted key and field of everything in a section that is no section itself."""
    for name, field in fields_of(model).items():
        section = section_of(field)
        if section is None:
            yield above + name, field
        else:
            yield from leaves(section, f"{above}{name}.")


def setting_at(place: tuple[str | int, ...], model: type[BaseModel]) -> tuple[str | int, ...]:
    """The part of a place that leads to a setting, the rest being inside of it; or to a key that is unknown."""
    for length, step in enumerate(place, 1):
        field = fields_of(model).get(str(step))
        section = section_of(field) if field is not None else None
        if section is None:
            return place[:length]
        model = section
    return place


def is_in_setting(place: tuple[str | int, ...], model: type[BaseModel]) -> bool:
    """Whether a place is a setting of the model or inside of one."""
    return ".".join(map(str, setting_at(place, model))) in {key for key, _ in leaves(model)}


@functools.cache
def setting_keys() -> Mapping[str, FieldInfo]:
    """Every dotted key of `Settings`, in the order of the schema."""
    return dict(leaves(Settings))


@functools.cache
def variable_keys() -> tuple[str, ...]:
    """The dotted keys that a grid or a case may vary."""
    return tuple(key for key in setting_keys() if why_fixed(key) == "")


def why_fixed(key: str) -> str:
    """Why an existing key may not vary within a sweep; '' if it may."""
    if key == METRIC_OPTIONS or key.startswith("objective."):
        return "is what configurations are compared by, so that it cannot vary; write one sweep for each"
    return _NOT_VARIED[key] + ", so that it cannot vary" if key in _NOT_VARIED else ""


def owner(key: str) -> str:
    """The setting that a key is, or is inside of (``training.segmentation_loss.focal.gamma``); '' if none."""
    keys = setting_keys()
    if key in keys:
        return key
    steps = key.split(".")
    for length in range(len(steps) - 1, 0, -1):
        above = ".".join(steps[:length])
        if above in keys and (above in (OPTIONS, METRIC_OPTIONS) or is_part(above)) and all(steps):
            return above
    return ""


def is_part(key: str) -> bool:
    """Whether a dotted key holds one registered part."""
    field = setting_keys().get(key)
    return field is not None and field.annotation is Part


def registry_of(key: str) -> Callable[[], Registry] | None:
    """What gets the registry of the part, or the list of parts, that a dotted key holds; None if it holds neither."""
    field = setting_keys().get(key)
    if field is None:
        return None
    # Of a list of parts the annotation stands at the item.
    inside = [item for kind in get_args(field.annotation) for item in getattr(kind, "__metadata__", ())]
    found = (item.registry for item in (*field.metadata, *inside) if isinstance(item, Registered | KnownEncoder))
    return next(found, None)


def is_section(key: str) -> bool:
    """Whether a dotted key is a mapping of settings rather than one."""
    return any(other.startswith(f"{key}.") for other in setting_keys())


def default_of(key: str) -> Any:
    """The JSON-like value of a setting that nobody wrote down; None inside parts and options."""
    field = setting_keys().get(key)
    if field is None:
        return None
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Part):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value


def split(key: str) -> tuple[str, ...]:
    """The steps to a dotted key; below ``search.grid`` and ``search.space`` the rest is one step."""
    steps = tuple(key.split("."))
    if steps[:2] in (("search", "grid"), ("search", "space")) and len(steps) > 2:
        return (*steps[:2], ".".join(steps[2:]))
    return steps


def spell(place: tuple[str | int, ...]) -> str:
    """A place as people write it: ``search.grid.model.encoder[3]``."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
