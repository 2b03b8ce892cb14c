"""``${winner:encoders.model.encoder}``: values that are the winners of other sweeps, put in their places.

A reference is the whole of a value; ``${winner:encoders.model.encoder:-resnet34}`` has a fallback for where that
sweep has no results at all. What is put in keeps the line of the reference as its source.

``${predictions:region}`` is the folder of the out-of-fold predictions of a sweep's winner, and ``${folds:region}`` the
file of the folds that these are of: what a second stage is trained on, see `utils.datasets.crops`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from experiments.sweep.configuration import without_defaults
from experiments.sweep.file.layers import assign
from experiments.sweep.file.predictions import FOLDS_FILE, predictions_folder
from experiments.sweep.file.problems import Report, validation_problems
from experiments.sweep.file.reader import Node, Place, read_text
from experiments.sweep.file.winners import Winner, Winners
from experiments.sweep.schema.keys import is_in_setting, is_section, owner, registry_of, setting_keys, spell, split
from experiments.sweep.schema.settings import Settings
from experiments.sweep.schema.sweep_file import SweepFile
from utils.errors import Problem, UserError, nearest

_REFERENCE = re.compile(r"\$\{winner:(?P<body>.*)\}", re.DOTALL)
_FILES = re.compile(r"\$\{(?P<what>predictions|folds):\s*(?P<sweep>[A-Za-z0-9][A-Za-z0-9_.-]*)\s*\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_EXAMPLE = "${winner:encoders.model.encoder}"
_OWN_WORDS = ("name", "question", "base")


@dataclass(frozen=True)
class Stages:
    """The place of a sweep in a journey; by default in none.

    before: full name of each sweep that will be complete when this one runs -> the settings of one of its
    configurations, which tell of what kind its values are, or None. References to them stay open for now.
    after: full names of the sweeps that come later and cannot be referred to.
    """

    before: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    after: Collection[str] = ()


@dataclass(frozen=True)
class Reference:
    """A reference in its parts. fallback: a list of the one value after ``:-``, empty where there is none."""

    sweep: str
    key: str
    fallback: list[Any]


class References:
    """Resolves every reference in a tree.

    root: the tree with values in place of references. told: a line for each that was resolved. waiting: a line for
    each that stays open. predicted: full names of the sweeps whose predictions are asked for. merge: whether equal
    configurations may come of what was put in.
    """

    def __init__(self, root: Node, winners: Winners, stages: Stages) -> None:
        self._winners, self._stages = winners, stages
        self.told: list[str] = []
        self.waiting: list[str] = []
        self.predicted: dict[str, Winner] = {}
        self._problems: list[tuple[Place, Problem]] = []
        self._open: list[tuple[Place, Node | None]] = []
        name = root.content.get("name")
        self._own = name.content if name is not None else None
        self.root = self._resolved((), root)

    @property
    def merge(self) -> bool:
        """Whether values from elsewhere may have made configurations equal that are written as different ones."""
        return bool(self.told or self.waiting)

    def note(self, report: Report) -> None:
        """Adds the problems to a report on `root`; what is open is marked as not to be judged."""
        for place, problem in self._problems:
            report.add(place, problem.message, value=problem.value, nearest=problem.nearest, choices=problem.choices)
        for place, expected in self._open:
            if expected is not None:
                _note_misfit(report, place, expected)
            report.broken.add(place)

    def _resolved(self, place: Place, node: Node) -> Node:
        if isinstance(node.content, Mapping):
            content = {key: self._resolved((*place, key), child) for key, child in node.content.items()}
            return Node(content, node.source)
        if isinstance(node.content, list):
            return Node(self._resolved_list(place, node.content), node.source)
        if not isinstance(node.content, str) or "${" not in node.content or not is_in_setting(place, SweepFile):
            return node
        try:
            return self._value(place, node)
        except UserError as error:
            self._problems += [(place, problem) for problem in error.problems]
            return node

    def _resolved_list(self, place: Place, nodes: list[Node]) -> list[Node]:
        """The items. In a grid what a reference adds to values that stand there already is left out."""
        if place[:2] != ("search", "grid") or len(place) != 3 or not any(map(_is_reference, nodes)):
            return [self._resolved((*place, index), node) for index, node in enumerate(nodes)]
        key = str(place[2])
        seen = [_normal(key, node) for node in nodes if not _is_reference(node)]
        kept: list[Node] = []
        for node in nodes:
            value = self._resolved((*place, len(kept)), node)
            if _is_reference(node) and value is not node:
                normal = _normal(key, value)
                if normal is not None and normal in seen:
                    self.told[-1] += "; it stands there already"
                    continue
                seen.append(normal)
            kept.append(value)
        return kept

    def _value(self, place: Place, node: Node) -> Node:
        """What a reference stands for; itself where it stays open. Raises UserError."""
        text = node.content
        if place[0] in _OWN_WORDS:
            raise _refusal(text, "must be written out; a reference stands for the value of a setting")
        if (files := _FILES.fullmatch(text)) is not None:
            return self._file(place, node, files["what"], self._full_name(text, files["sweep"]))
        reference = self._parsed(text)
        full = self._full_name(text, reference.sweep)
        if full in self._stages.before:
            settings = self._stages.before[full]
            value = None if settings is None else _lookup(settings, reference.key)
            self._open.append((place, None if value is None else _node(value, node.source)))
            self.waiting.append(f"{spell(place)} waits for the winner of {full}")
            return node
        winner = self._winner(text, full)
        if winner is not None:
            value = self._setting(text, winner, reference.key)
            self.told.append(f"{spell(place)} = {_shown(reference.key, value)}, {winner}")
            return _node(value, node.source)
        if not reference.fallback:
            raise self._nothing(text, reference, full)
        [value] = reference.fallback
        self.told.append(f"{spell(place)} = {_shown(reference.key, value)}: {full} has no results here")
        return _node(value, node.source)

    def _file(self, place: Place, node: Node, what: str, full: str) -> Node:
        """The path of the predictions of a sweep, or of their folds. Raises UserError."""
        text = node.content
        if full in self._stages.before:
            if (settings := self._stages.before[full]) is not None and (fault := _untested(settings)):
                raise _refusal(text, f"needs a prediction for every case, but {full} {fault}")
            self._open.append((place, None))
            self.waiting.append(f"{spell(place)} waits for the predictions of {full}")
            return node
        winner = self._winner(text, full)
        if winner is None:
            names = self._winners.names()
            message = f"{full} has no results in {self._winners.results}; run it first: {self._winners.command(full)}"
            raise _refusal(text, message, nearest(full, names), names)
        if fault := _untested(winner.settings):
            raise _refusal(text, f"needs a prediction for every case, but {full} {fault}")
        self.predicted[full] = winner
        path = predictions_folder(self._winners.results, winner)
        path = path if what == "predictions" else path / FOLDS_FILE
        self.told.append(f"{spell(place)} = {path}, of {winner}")
        return _node(str(path), node.source)

    def _full_name(self, text: str, sweep: str) -> str:
        """The full name of the sweep that is referred to. Raises UserError for what cannot be."""
        full = self._winners.full_name(sweep)
        if full == self._own:
            raise _refusal(text, "refers to the sweep that it stands in")
        if full in self._stages.after:
            raise _refusal(text, f"refers to {sweep}, a later stage of the journey")
        return full

    def _winner(self, text: str, full: str) -> Winner | None:
        try:
            return self._winners.of(full)
        except UserError as error:
            raise _refusal(text, error.problems[0].message) from None

    def _setting(self, text: str, winner: Winner, key: str) -> Any:
        try:
            return winner.value(key)
        except KeyError:
            whole = _lookup(winner.settings, owner(key))
            reason = "" if whole is None else f": its {owner(key)} is {_shown(owner(key), whole)}"
            raise _refusal(text, f"the winner of {winner.sweep} has no {key}{reason}") from None

    def _parsed(self, text: str) -> Reference:
        """The parts of a reference. Raises UserError for what is none."""
        match = _REFERENCE.fullmatch(text)
        if match is None or "${" in match["body"]:
            embedded = match is not None or _REFERENCE.search(text) is not None
            message = "must be the whole of the value" if embedded else "is no reference to the winner of a sweep"
            raise _refusal(text, f"{message}; write {_EXAMPLE}")
        body, arrow, fallback = match["body"].partition(":-")
        sweep, key = self._name_and_key(text, body.strip())
        if arrow and not fallback.strip():
            raise _refusal(text, "has an empty fallback; write a value after :- or leave :- out")
        return Reference(sweep, key, [_fallback(text, fallback.strip())] if arrow else [])

    def _name_and_key(self, text: str, body: str) -> tuple[str, str]:
        """Name and key: the key begins at the first place from which the rest is a setting."""
        steps = body.split(".")
        for length in range(1, len(steps)):
            name, key = ".".join(steps[:length]), ".".join(steps[length:])
            if owner(key):
                if not _NAME.fullmatch(name):
                    raise _refusal(text, f"{name!r} is no name of a sweep; write {_EXAMPLE}")
                return name, key
        longest = max(
            (name for name in self._winners.names() if body.startswith(f"{name}.")), key=len, default=steps[0]
        )
        key = body.removeprefix(longest).removeprefix(".")
        if not longest or not key:
            raise _refusal(text, f"must name a sweep and one of its settings, such as {_EXAMPLE}")
        if key == "case":
            raise _refusal(text, "a case is only a name; refer to a setting that it sets")
        if is_section(key):
            inside = tuple(other for other in setting_keys() if other.startswith(f"{key}."))
            raise _refusal(text, f"{key} is no single setting", choices=inside)
        same = [other for other in setting_keys() if other.rpartition(".")[2] == key]
        raise _refusal(text, f"there is no setting {key}", (*same, nearest(key, setting_keys()))[0])

    def _nothing(self, text: str, reference: Reference, full: str) -> UserError:
        """The error of a reference to a sweep without results."""
        command = self._winners.command(full)
        names = self._winners.names()
        meant = nearest(reference.sweep, names) if "<" in command else ""
        message = f"{full} has no results in {self._winners.results}; run it first: {command}"
        return _refusal(text, f"{message} (or name a value for now: {text[:-1]}:-<value>}})", meant, names)


def _refusal(text: str, message: str, meant: str = "", choices: tuple[str, ...] = ()) -> UserError:
    return UserError(Problem("", message, value=text, nearest=meant, choices=choices))


def _fallback(text: str, fallback: str) -> Any:
    """The value of a fallback, which is YAML as the value itself would be."""
    try:
        return read_text(fallback, text, numbered=False).plain()
    except UserError as error:
        raise _refusal(text, f"has a fallback that {error.problems[0].message}") from None


def _lookup(settings: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key of nested settings; None where there is none."""
    value: Any = settings
    for step in split(key):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _untested(settings: Mapping[str, Any]) -> str:
    """Why not every case of a sweep has been in a test part; '' where all have. Folds of a file tell later."""
    folds = settings.get("folds", {})
    k, use, given = folds.get("k"), folds.get("use"), folds.get("from")
    if (given is None and k == 1) or given == "split":
        return "tests only a part of them (folds.k: 1, or the parts of the data's own)"
    return f"runs only {use} of its {k} folds" if given is None and use is not None and use < k else ""


def _is_reference(node: Node) -> bool:
    return isinstance(node.content, str) and "${" in node.content


def _key_of(place: Place) -> str:
    """The dotted key of the setting that a place gives a value to; '' for an item of a list within one."""
    if place[:2] == ("search", "grid"):
        steps, rest = place[2:3], place[4:]
    elif place[:1] == ("search",):
        steps, rest = (place[3:4], place[4:]) if place[1:2] in (("cases",), ("exclude",)) else ((), ())
    else:
        steps, rest = place, ()
    key = ".".join(map(str, steps))
    return key if not rest and owner(key) and not any(isinstance(step, int) for step in steps) else ""


def _normal(key: str, node: Node) -> Any:
    """The JSON-like value that a setting gets from a node, None if it is not valid."""
    try:
        settings = Settings.model_validate(assign(Node({}, ""), split(key), node).plain())
    except ValidationError:
        return None
    return _lookup(settings.model_dump(mode="json", by_alias=True), key)


def _note_misfit(report: Report, place: Place, expected: Node) -> None:
    """Notes what is wrong with a value of the kind that a reference will stand for, in the place where it stands."""
    key = _key_of(place)
    if not key:
        return
    try:
        Settings.model_validate(assign(Node({}, ""), split(key), expected).plain())
    except ValidationError as error:
        validation_problems(report, error, Settings, instead=(split(key), place))


def _node(value: Any, source: str) -> Node:
    if isinstance(value, Mapping):
        return Node({key: _node(item, source) for key, item in value.items()}, source)
    return Node([_node(item, source) for item in value], source) if isinstance(value, list) else Node(value, source)


def _shown(key: str, value: Any) -> str:
    """A setting's value in one line: text as it is, the rest as JSON, which YAML reads as well.

    Of a part only what differs from its defaults.
    """
    registry = registry_of(key)
    if registry is not None:
        value = without_defaults(value, registry())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
