"""YAML with the line of every key: safe, bounded, YAML 1.2's idea of a number, duplicate keys refused.

PyYAML follows YAML 1.1, where ``3e-4`` is text, ``010`` is eight, ``12:30`` is 750 and ``no`` is false.
Here plain scalars are read as in YAML 1.2's core schema, and nothing but plain data can come out:
no tags but the core ones, no recursion, at most 512 kB, 50 levels, 1,000 digits of a number and 100,000 values with
aliases expanded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from utils.errors import Problem, UserError, nearest

_MOST_BYTES = 512 * 1024
_MOST_LEVELS = 50
_MOST_VALUES = 100_000
# Python refuses to write out an integer of more than 4,300 decimal digits, which 0xfff... can be.
_MOST_DIGITS = 1000

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Node:
    """A value and where it was written.

    content: a mapping of nodes, a list of nodes, or text, number, boolean or None.
    source: ``file:line`` or the ``--set`` argument.
    """

    content: Any
    source: str

    def plain(self) -> Any:
        """The value without its sources."""
        if isinstance(self.content, Mapping):
            return {key: node.plain() for key, node in self.content.items()}
        return [node.plain() for node in self.content] if isinstance(self.content, list) else self.content

    def at(self, place: Place) -> Node | None:
        """The node at a place, or None where there is none."""
        node: Node | None = self
        for step in place:
            node = node._child(step) if node else None
        return node

    def source_at(self, place: Place) -> str:
        """The source of the place, or of the nearest that contains it."""
        node = self
        for step in place:
            child = node._child(step)
            if child is None:
                break
            node = child
        return node.source

    def _child(self, step: str | int) -> Node | None:
        if isinstance(self.content, Mapping):
            return self.content.get(step)
        inside = isinstance(self.content, list) and isinstance(step, int) and 0 <= step < len(self.content)
        return self.content[step] if inside else None


def read_file(path: Path, wanted_by: str = "") -> Node:
    """The mapping in a YAML file.

    wanted_by: the source of the `base` key that names the file.
    Raises UserError, with the line, if it is missing, too large, no YAML or no mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        beside = nearest(path.name, (item.name for item in _yaml_files(path.parent)))
        meant = str(path.parent / beside) if beside and isinstance(error, FileNotFoundError) else ""
        reason = error.strerror or "cannot be read"
        raise UserError(Problem(str(path), f"cannot be read: {reason}", source=wanted_by, nearest=meant)) from None
    except ValueError as error:  # a NUL in the path
        raise UserError(Problem(str(path), f"cannot be read: {error}", source=wanted_by)) from None
    if len(data) > _MOST_BYTES:
        raise UserError(Problem(str(path), f"is larger than {_MOST_BYTES // 1024} kB: no sweep file"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(Problem(str(path), "is not UTF-8 text", source=f"{path}:{line}")) from None
    node = read_text(text, str(path))
    if not isinstance(node.content, Mapping):
        what = "is empty" if node.content is None else "must be a mapping of keys to values"
        raise UserError(Problem(str(path), what, source=node.source))
    return node


def read_text(text: str, name: str, numbered: bool = True) -> Node:
    """The value of a YAML text; `name` and, if `numbered`, the line become the sources.

    Raises UserError with one problem.
    """
    reading = _Reading(name, numbered)
    if len(text) > _MOST_BYTES:
        raise UserError(Problem(name, f"is longer than {_MOST_BYTES // 1024} kB"))
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        return Node(None, reading.source(None)) if root is None else reading.value(root, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"is not valid YAML: {_sentence(error)}"
        if mark is not None and "${" in "".join(text.splitlines()[mark.line : mark.line + 1]):
            message += "; within braces or brackets ${...} must be in quotes"
        raise UserError(Problem(name, message, reading.source(mark))) from None
    except yaml.YAMLError as error:  # the stream itself: control characters
        line = text[: getattr(error, "position", 0)].count("\n")
        place = reading.source(yaml.Mark(name, 0, line, 0, None, 0))
        reason = getattr(error, "reason", "unreadable characters")
        raise UserError(Problem(name, f"is not valid YAML: {reason}", place)) from None


def _yaml_files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.y*ml"))
    except OSError:
        return []


def _sentence(error: yaml.MarkedYAMLError) -> str:
    if "'\\t'" in (error.problem or ""):
        return "a tab; indent with spaces"
    return ", ".join(part for part in (error.context, error.problem) if part)


class _Loader(yaml.SafeLoader):
    """Composes nodes with YAML 1.2's scalars; values are made by `_Reading`, not by constructors."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own interface
    _level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As PyYAML's, which recurses without a bound."""
        self._level += 1
        if self._level > _MOST_LEVELS:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self._level -= 1
        return node


_NUMBER_STARTS = list("-+.0123456789")
for _tag, _pattern, _starts in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _NUMBER_STARTS),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", _NUMBER_STARTS),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", _NUMBER_STARTS),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _starts)


class _Reading:
    """One pass from composed nodes to values."""

    def __init__(self, name: str, numbered: bool) -> None:
        self._name = name
        self._numbered = numbered
        self._values = 0
        self._open: set[int] = set()

    def source(self, mark: Any) -> str:
        """``file:line`` of a mark."""
        if not self._numbered:
            return self._name
        return f"{self._name}:{mark.line + 1 if mark else 1}"

    def value(self, node: yaml.Node, level: int) -> Node:
        """The value of a composed node."""
        self._values += 1
        if self._values > _MOST_VALUES:
            raise self._problem(node, f"stands for more than {_MOST_VALUES} values once its aliases are expanded")
        if id(node) in self._open:
            raise self._problem(node, "contains itself by an alias")
        if level > _MOST_LEVELS:
            raise self._problem(node, "nested too deeply")
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node), self.source(node.start_mark))
        self._open.add(id(node))
        content: Any
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            content = [self.value(item, level + 1) for item in node.value]
        elif isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            content = self._mapping(node, level)
        else:
            raise self._problem(node, f"the tag {_short(node.tag)} is not allowed here")
        self._open.discard(id(node))
        return Node(content, self.source(node.start_mark))

    def _mapping(self, node: yaml.MappingNode, level: int) -> dict[str, Node]:
        merged: dict[str, Node] = {}
        own: dict[str, Node] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged = {**self._merged(value_node, level), **merged}
                continue
            key = self._key(key_node)
            source = self.source(key_node.start_mark)
            if key in own:
                first = own[key].source
                raise UserError(Problem(key, f"stands here twice; the first is at {first}", source=source))
            # The line of the key: its value may begin further down.
            own[key] = Node(self.value(value_node, level + 1).content, source)
        return {**merged, **own}

    def _merged(self, node: yaml.Node, level: int) -> dict[str, Node]:
        value = self.value(node, level + 1)
        mappings = value.content if isinstance(value.content, list) else [value]
        merged: dict[str, Node] = {}
        for mapping in mappings:
            if not isinstance(mapping.content, dict):
                raise self._problem(node, "<< takes a mapping or a list of mappings")
            merged = {**mapping.content, **merged}
        return merged

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._problem(node, "a key must be text; put braces and brackets that belong to it in quotes")
        # A bare `null:` or `16:` is a key of that text: what it means is for the schema to say.
        if node.tag not in _SCALARS:
            raise self._problem(node, f"the tag {_short(node.tag)} is not allowed here")
        return self._text(node)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if node.tag not in _SCALARS:
            raise self._problem(node, f"the tag {_short(node.tag)} is not allowed here")
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[node.value.lower()]
            if kind == "int" and len(node.value) <= _MOST_DIGITS:
                return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)
            if kind == "float":
                return float(re.sub(r"\.(inf|nan)$", r"\1", node.value.lower()))
        except (ValueError, KeyError):
            raise self._unreadable(node, kind) from None
        if kind == "int":
            raise self._unreadable(node, kind)
        return self._text(node)

    def _text(self, node: yaml.ScalarNode) -> str:
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in node.value):
            raise self._problem(node, "half a character (a lone surrogate) is no text")
        return str(node.value)

    def _unreadable(self, node: yaml.ScalarNode, kind: str) -> UserError:
        return self._problem(node, f"{_short(node.value)} is no {kind} that can be read")

    def _problem(self, node: yaml.Node, message: str) -> UserError:
        return UserError(Problem(self._name, message, source=self.source(node.start_mark)))


_SCALARS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "merge")}


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


def is_finite(value: Any) -> bool:
    """Whether a scalar is anything but NaN or an infinity, which neither JSON nor a setting can be."""
    return not isinstance(value, float) or math.isfinite(value)
