"""What the search section offers to choose from: the values of each grid key, the named cases, what to exclude.

Every value is checked as the setting that it would become; what is wrong is noted and left out, so that the
rest can still be judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from experiments.sweep.configuration import nested
from experiments.sweep.file.layers import assign
from experiments.sweep.file.problems import Report, validation_problems
from experiments.sweep.file.reader import Node, Place
from experiments.sweep.schema.keys import is_section, owner, spell, split, variable_keys, why_fixed
from experiments.sweep.schema.settings import Settings
from experiments.sweep.schema.space import WHEN
from utils.errors import nearest
from utils.identity import canonical_json

MOST_CONFIGURATIONS = 10_000
_LONGEST_CASE_NAME = 80


@dataclass(frozen=True)
class Choice:
    """A value for some keys: one value of a grid key, or one named case.

    values: dotted key -> (place in the file, node). label: what people call it.
    """

    values: Mapping[str, tuple[Place, Node]]
    label: str
    case: str = ""


class Choices:
    """The axes of a sweep: one for the named cases, if there are any, then one for each key of the grid."""

    def __init__(self, base: Node, report: Report) -> None:
        """base: a tree whose settings are valid. What is wrong with the search goes to the report."""
        self._base = base
        self._report = report
        cases = self._cases()
        self.in_cases = frozenset(key for case in cases for key in case.values)
        grid = self._grid(self.in_cases)
        self.axes = [axis for axis in (cases, *grid.values()) if axis]
        self.keys = tuple(dict.fromkeys(key for axis in self.axes for choice in axis for key in choice.values))
        self.named = bool(cases)

    def exclusions(self) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Place and pattern (dotted key -> JSON-like value of the setting) of each sound entry of `exclude`."""
        node = self._report.root.at(("search", "exclude"))
        for index, item in enumerate(node.content if node and isinstance(node.content, list) else []):
            place: Place = ("search", "exclude", index)
            if not isinstance(item.content, Mapping):
                continue
            if not item.content:
                self._report.add(place, "is empty and would drop everything")
            pattern: dict[str, Any] = {}
            for key, value in item.content.items():
                here = (*place, key)
                if key == "case":
                    pattern[key] = value.plain()
                elif self.is_variable(key, here):
                    pattern[key] = self.normal(key, here, value)
            if not self._report.is_broken(place):
                yield place, pattern

    def _grid(self, taken: frozenset[str]) -> dict[str, list[Choice]]:
        node = self._report.root.at(("search", "grid"))
        grid: dict[str, list[Choice]] = {}
        for key, values in (node.content if node and isinstance(node.content, Mapping) else {}).items():
            place: Place = ("search", "grid", key)
            if not self.is_variable(key, place):
                continue
            if not isinstance(values.content, list):
                self._report.add(place, "must be a list of values, such as [1, 2]", value=values.plain())
            elif key in taken:
                self._report.add(place, "varies in search.cases as well; which of them is meant?")
            elif over := next((other for other in grid if overlap(key, other)), ""):
                self._report.add(place, f"overlaps {over}, which varies as well")
            elif not values.content or len(values.content) > MOST_CONFIGURATIONS:
                self._report.add(place, f"must have 1 to {MOST_CONFIGURATIONS} values; got {len(values.content)}")
            else:
                grid[key] = self._values(key, place, values.content)
        return grid

    def _values(self, key: str, place: Place, nodes: list[Node]) -> list[Choice]:
        choices: list[Choice] = []
        seen: list[Any] = []
        for index, node in enumerate(nodes):
            here = (*place, index)
            normal = self.normal(key, here, node)
            if self._report.is_broken(here):
                continue
            if normal in seen:
                self._report.add(here, "stands in the grid twice", value=node.plain())
                continue
            seen.append(normal)
            label = label_of(node.plain())
            if label in [choice.label for choice in choices]:
                label = canonical_json(node.plain())  # text and null may look alike
            choices.append(Choice({key: (here, node)}, label))
        return choices

    def _cases(self) -> list[Choice]:
        node = self._report.root.at(("search", "cases"))
        cases: list[Choice] = []
        for index, item in enumerate(node.content if node and isinstance(node.content, list) else []):
            place: Place = ("search", "cases", index)
            if not isinstance(item.content, Mapping):
                continue
            name = self._case_name(item, place, [case.case for case in cases])
            values = {}
            for key, value in item.content.items():
                here = (*place, key)
                if key == "name" or not self.is_variable(key, here):
                    continue
                self.normal(key, here, value)
                if not self._report.is_broken(here):
                    values[key] = (here, value)
            cases.append(Choice(values, name, name))
        return cases

    def _case_name(self, item: Node, place: Place, taken: list[str]) -> str:
        node = item.content.get("name")
        name = node.content if node is not None else None
        if node is None:
            self._report.add(place, "has no name; write {name: ..., <dotted key>: <value>}", breaks=False)
        elif not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _LONGEST_CASE_NAME:
            message = f"must be one line of text, at most {_LONGEST_CASE_NAME} characters"
            self._report.add((*place, "name"), message, value=node.plain())
        elif name in taken:
            self._report.add((*place, "name"), "another case has this name", value=name)
        return name if isinstance(name, str) and name else f"case {place[-1]}"

    def is_variable(self, key: str, place: Place) -> bool:
        """Whether the key exists and may vary; notes a problem if not."""
        if place in self._report.broken:
            return False
        above = owner(key)
        if above and why_fixed(above) == "":
            self._refuse_override(key, place)
            return True
        if above:
            self._report.add(place, why_fixed(above))
        elif is_section(key):
            inside = [other for other in variable_keys() if other.startswith(f"{key}.")]
            self._report.add(place, "is no single setting; write dotted keys", choices=inside)
        else:
            elsewhere = [other for other in variable_keys() if other.rpartition(".")[2] == key]
            meant = elsewhere[0] if elsewhere else nearest(key, variable_keys())
            inside = [other for other in variable_keys() if other.startswith(f"{key.partition('.')[0]}.")]
            self._report.add(place, "no such setting", nearest=meant, choices=inside or variable_keys())
        return False

    def _refuse_override(self, key: str, place: Place) -> None:
        node = self._report.root.at(split(key))
        # What is drawn under conditions, or named in one, also has a value from the file.
        varies = place[1] in ("grid", "cases") or (place[1] == "space" and len(place) == 3)
        varies &= self._report.root.at((*place, WHEN)) is None
        if varies and node is not None and node.source.startswith("--set"):
            message = f"has no effect, {spell(place)} varies it"
            if place[1] == "grid":
                message += f"; write --set search.grid.{key}=[...]"
            elif place[1] == "space":
                message += f"; write --set search.space.{key}={{...}}"
            self._report.add(split(key), message, breaks=False)

    def normal(self, key: str, place: Place, node: Node) -> Any:
        """The JSON-like value that a setting gets from a node, None if invalid; notes what is wrong with it.

        place: where the node stands, which is what a problem names.
        """
        if self._report.is_broken(place):
            return None
        tree = assign(self._base, split(key), node)
        try:
            settings = Settings.model_validate(sections(tree))
        except ValidationError as error:
            validation_problems(self._report, error, Settings, instead=(split(key), place))
            return None
        return lookup(nested(settings), key)

    def takes(self, key: str, node: Node) -> bool:
        """Whether a setting takes the value of a node; notes nothing."""
        try:
            Settings.model_validate(sections(assign(self._base, split(key), node)))
        except ValidationError:
            return False
        return True


def sections(tree: Node) -> dict[str, Any]:
    """The part of a tree that is settings, as plain values."""
    return {name: tree.content[name].plain() for name in Settings.model_fields if name in tree.content}


def lookup(values: Any, key: str) -> Any:
    """The value at a dotted key of nested values; None where there is none."""
    for step in split(key):
        values = values.get(step) if isinstance(values, Mapping) else None
    return values


def overlap(one: str, other: str) -> bool:
    """Whether one dotted key is inside of the other."""
    return one.startswith(f"{other}.") or other.startswith(f"{one}.")


def label_of(value: Any) -> str:
    """A value on one line: ``focal(gamma=2)``, ``median+clahe``, ``128x96`` or the value itself."""
    if isinstance(value, Mapping):
        return "+".join(_label_of_entry(name, inside) for name, inside in value.items())
    if isinstance(value, list):
        between = "x" if all(type(item) is int for item in value) else "+"
        return between.join(map(label_of, value)) if value else "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return str(value)


def _label_of_entry(name: str, inside: Any) -> str:
    if isinstance(inside, Mapping) and inside:
        return f"{name}({', '.join(f'{key}={label_of(value)}' for key, value in inside.items())})"
    return name if isinstance(inside, Mapping | None) else f"{name}={label_of(inside)}"
