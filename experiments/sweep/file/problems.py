"""All problems of a tree at once: pydantic's errors as sentences with key, line, nearest name and choices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from experiments.sweep.file.reader import Node, Place, is_finite
from experiments.sweep.schema.keys import fields_of, is_in_setting, section_of, setting_keys, spell
from utils.errors import Problem, nearest

_SENTENCES = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "path_type": "must be a path",
    "missing": "is missing",
    "finite_number": "must be finite",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "may hold letters, digits, and _ - . between them",
}
_MOST_SHOWN = 60


class Report:
    """The problems found so far, and the places that are broken and must not be judged further."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.broken: set[Place] = set()

    def add(
        self,
        place: Place,
        message: str,
        *,
        value: object = None,
        nearest: str = "",
        choices: Sequence[str] = (),
        breaks: bool = True,
    ) -> None:
        """Notes a problem at a place. One that is noted already, word for word, is not repeated."""
        source = self.root.source_at(place)
        problem = Problem(spell(place), message, source, _shortened(value), nearest, tuple(choices))
        if problem not in self.problems:
            self.problems.append(problem)
        if breaks:
            self.broken.add(place)

    def sorted(self) -> list[Problem]:
        """The problems in the order of their files and lines, what came by --set last."""

        def place(problem: Problem) -> tuple[bool, str, int]:
            file, _, line = problem.source.rpartition(":")
            numbered = line.isdecimal() and not file.startswith("--set")
            return (False, file, int(line)) if numbered else (True, problem.source, 0)

        return sorted(self.problems, key=place)

    def is_broken(self, place: Place) -> bool:
        """Whether the place, something in it or something around it has a problem."""
        return any(other[: len(place)] == place or place[: len(other)] == other for other in self.broken)


def check_scalars(report: Report, model: type[BaseModel]) -> None:
    """Notes numbers that are none in any setting of `model`."""
    open_nodes: list[tuple[Place, Node]] = [((), report.root)]
    while open_nodes:
        place, node = open_nodes.pop()
        if isinstance(node.content, Mapping):
            open_nodes += [((*place, key), child) for key, child in reversed([*node.content.items()])]
        elif isinstance(node.content, list):
            open_nodes += [((*place, index), child) for index, child in reversed([*enumerate(node.content)])]
        elif not is_in_setting(place, model):
            continue  # an unknown key, to be reported as such
        elif not is_finite(node.content):
            report.add(place, f"must be a finite number; got {node.content}")


def validation_problems(
    report: Report, error: ValidationError, model: type[BaseModel], instead: tuple[Place, Place] = ((), ())
) -> None:
    """Notes every error of a validation of `model`.

    instead: (place in the settings, place in the file) where the value in question was written
    elsewhere, such as in a grid; errors anywhere else in the settings are then left out.
    """
    at, written = instead
    for item in error.errors(include_url=False):
        location = tuple(item["loc"])
        if not _overlap(location, at):
            continue
        place = written + location[len(at) :]
        if report.is_broken(place):
            continue
        _note(report, place, location, item, model)


def sentence(item: Any) -> str:
    """What one of pydantic's errors says, as the rest of a sentence that begins with the key."""
    if item["type"] in _SENTENCES:
        # A bound of a whole number is told to its last digit.
        context = item.get("ctx", {})
        told = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
        return _SENTENCES[item["type"]].format_map(told)
    return re.sub(r"^(Value error, |Input should be )", _opening, item["msg"])


def _note(report: Report, place: Place, location: Place, item: Any, model: type[BaseModel]) -> None:
    kind, context, value = item["type"], item.get("ctx", {}), item["input"]
    choices: Sequence[str] = context.get("choices", ())
    meant: str = context.get("nearest", "")
    message = sentence(item)
    if kind == "extra_forbidden" and "choices" not in context:
        choices = _keys_at(model, location[:-1])
        message, meant, value = "unknown key", _nearest_key(str(location[-1]), location[:-1], choices), None
    elif kind == "extra_forbidden":
        message, value = context["text"], None
    elif kind == "literal_error":
        choices = tuple(re.findall(r"'([^']*)'", context["expected"]))
        message, meant = "unknown value", nearest(str(value), choices)
    elif kind == "missing":
        value = None
    elif value is None:
        message += "; it is empty"
    report.add(place, message, value=value, nearest=meant, choices=choices)


def _opening(match: re.Match[str]) -> str:
    return "" if match[0].startswith("Value error") else "must be "


def _overlap(location: Place, at: Place) -> bool:
    length = min(len(location), len(at))
    return location[:length] == at[:length]


def _keys_at(model: type[BaseModel], place: Place) -> tuple[str, ...]:
    for step in place:
        field = fields_of(model).get(str(step))
        section = section_of(field) if field is not None else None
        if section is None:
            return ()
        model = section
    return tuple(fields_of(model))


def _nearest_key(name: str, place: Place, choices: Sequence[str]) -> str:
    """The key that was meant: one of the same mapping, or the same key where it belongs."""
    if name in setting_keys():
        return f"{name.rpartition('.')[0]}: {{{name.rpartition('.')[2]}: ...}}"
    elsewhere = [key for key in setting_keys() if key.rpartition(".")[2] == name]
    if elsewhere:
        return elsewhere[0]
    return nearest(name, choices) or nearest(spell((*place, name)), setting_keys())


def _shortened(value: object) -> object:
    """The value, cut where it would fill the screen."""
    text = repr(value)
    if len(text) <= _MOST_SHOWN:
        return value
    return value[: _MOST_SHOWN - 3] + "..." if isinstance(value, str) else text[: _MOST_SHOWN - 3] + "..."
