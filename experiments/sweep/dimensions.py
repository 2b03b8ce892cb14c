"""What `search.space` says, checked: forms, bounds, choices, conditions; a problem for all that cannot be drawn.

Bounds and choices are checked as the setting that they would become, as the values of a grid are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from experiments.sweep.choices import MOST_CONFIGURATIONS, Choices, label_of, overlap
from experiments.sweep.conditions import Conditions
from experiments.sweep.file.problems import Report
from experiments.sweep.file.reader import Node, Place
from experiments.sweep.schema.keys import is_part
from experiments.sweep.schema.search import SearchSettings
from experiments.sweep.schema.space import BOUNDS, KINDS, WHEN, Kind
from experiments.sweep.space import Dimension, Space, Template
from utils.errors import nearest

# Beyond it not every whole number has a float of its own, and samplers reckon with floats.
_LARGEST_INT = 2**53
_LARGEST_FLOAT = 1e300


class Dimensions:
    """The dimensions of a sweep's space, in the order of the file; what is wrong goes to the report."""

    def __init__(self, choices: Choices, report: Report) -> None:
        self._choices, self._report = choices, report
        self._conditions = Conditions(choices, report)
        node = report.root.at(("search", "space"))
        entries = node.content if node and isinstance(node.content, Mapping) else {}
        self.given = bool(entries)
        known = {key: entry for key, entry in entries.items() if choices.is_variable(key, place_of(key))}
        self._refuse_overlaps(known)
        read = {key: self._dimension(key, entry) for key, entry in known.items()}
        self._dimensions = {key: dimension for key, dimension in read.items() if dimension is not None}

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are drawn."""
        return tuple(self._dimensions)

    def space(
        self,
        search: SearchSettings,
        templates: Sequence[Template],
        exclusions: Sequence[Mapping[str, Any]],
        lenient: bool,
    ) -> Space | None:
        """The space over these templates; None without one, or if there are problems.

        lenient: whether `samples` may be lowered to what the space holds.
        """
        if not self.given:
            self._refuse_draws_from_nothing()
            return None
        dimensions = self._conditions.in_order_of_drawing(self._dimensions)
        if search.samples is None and not self._report.is_broken(("search", "samples")):
            message = "is missing: how many configurations are to be drawn from search.space?"
            self._report.add(("search", "samples"), message)
        self._conditions.check(self._dimensions, [template.settings for template in templates])
        if search.samples is None or self._report.is_broken(("search", "space")) or not templates or not dimensions:
            return None
        if len(templates) * search.samples > MOST_CONFIGURATIONS:
            message = (
                f"makes {len(templates)} x {search.samples} configurations; at most {MOST_CONFIGURATIONS} are possible"
            )
            self._report.add(("search", "samples"), message)
            return None
        space = Space(dimensions, self.keys, search.sampler, search.samples, tuple(templates), tuple(exclusions))
        counts = [len(every) for each in range(len(templates)) if (every := space.every(each)) is not None]
        if counts and min(counts) < search.samples:
            if lenient:
                return replace(space, samples=min(counts))
            message = f"search.space holds only {min(counts)} different configurations"
            self._report.add(("search", "samples"), message, value=search.samples)
        return space

    def _refuse_draws_from_nothing(self) -> None:
        search = self._report.root.at(("search",))
        if search is None or search.at(("space",)) is not None:
            return  # one that is there and empty is what a demo leaves of a space that it decides
        for name in ("samples", "sampler"):
            if search.at((name,)) is not None and not self._report.is_broken(("search", name)):
                self._report.add(("search", name), "is for search.space, and there is none: add one, or leave it out")

    def _refuse_overlaps(self, known: Mapping[str, Node]) -> None:
        for key in known:
            # Inside of a part that varies elsewhere is no contradiction: `when` says for which.
            outside = [
                other for other in self._choices.keys if other == key or (overlap(other, key) and not is_part(other))
            ]
            inside = [other for other in known if other.startswith(f"{key}.") and not is_part(key)]
            if outside:
                where = "search.cases" if outside[0] in self._choices.in_cases else "search.grid"
                what = "varies" if outside[0] == key else f"overlaps {outside[0]}, which varies"
                self._report.add(place_of(key), f"{what} in {where} as well; which of them is meant?")
            elif inside:
                self._report.add(place_of(key), f"overlaps {inside[0]}, which is drawn as well")

    def _dimension(self, key: str, entry: Node) -> Dimension | None:
        place = place_of(key)
        if not isinstance(entry.content, Mapping):
            message = "must say what it is drawn from, such as {uniform: [0, 1]} or {choice: [a, b]}"
            self._report.add(place, message, value=entry.plain(), choices=KINDS)
            return None
        for name in entry.content:
            if name not in (*KINDS, WHEN):
                valid = (*KINDS, WHEN)
                self._report.add((*place, name), "unknown key", nearest=nearest(name, valid), choices=valid)
        kinds: list[Kind] = [kind for kind in KINDS if kind in entry.content]
        when = self._conditions.of(key, entry.content[WHEN]) if WHEN in entry.content else ()
        if len(kinds) > 1:
            self._report.add(place, f"is drawn in two ways, {kinds[0]} and {kinds[1]}; keep one")
        elif not kinds and not self._report.is_broken(place):
            self._report.add(place, "does not say what it is drawn from", choices=KINDS)
        if len(kinds) != 1:
            return None
        [kind] = kinds
        read = self._choice if kind == "choice" else self._range
        dimension = read(key, kind, entry.content[kind])
        return None if dimension is None else replace(dimension, when=when)

    def _choice(self, key: str, kind: Kind, node: Node) -> Dimension | None:
        place: Place = (*place_of(key), kind)
        if not isinstance(node.content, list) or not 1 <= len(node.content) <= MOST_CONFIGURATIONS:
            self._report.add(place, f"must be a list of 1 to {MOST_CONFIGURATIONS} values", value=node.plain())
            return None
        values: list[Any] = []
        normals: list[Any] = []
        for index, item in enumerate(node.content):
            normal = self._choices.normal(key, (*place, index), item)
            if self._report.is_broken((*place, index)):
                continue
            if normal in normals:
                self._report.add((*place, index), "is a choice twice", value=item.plain())
                continue
            values.append(item.plain())
            normals.append(normal)
        return Dimension(key, kind, values=tuple(values), normals=tuple(normals)) if values else None

    def _range(self, key: str, kind: Kind, node: Node) -> Dimension | None:
        place: Place = (*place_of(key), kind)
        bounds = self._bounds(kind, place, node)
        if bounds is None or self._report.is_broken(place):
            return None
        (low_at, low), (high_at, high) = bounds["low"], bounds["high"]
        step, log = (bounds[name][1].content if name in bounds else None for name in ("step", "log"))
        step, log = 1 if step is None else step, bool(log) or kind == "log_uniform"
        if low.content >= high.content:
            self._report.add(low_at, f"must be less than the upper bound, {label_of(high.plain())}", value=low.plain())
        elif log and low.content <= 0:
            self._report.add(low_at, "must be greater than 0 for a logarithmic range", value=low.plain())
        elif log and step != 1:
            self._report.add(bounds["step"][0], "is not possible in a logarithmic range", value=step)
        elif (high.content - low.content) % step and kind == "int":
            message = f"must be {low.plain()} plus a multiple of the step, {step}"
            self._report.add(high_at, message, value=high.plain())
        for at, bound in ((low_at, low), (high_at, high)):
            if not self._report.is_broken(at):
                self._check_bound(key, kind, at, bound)
        if self._report.is_broken(place):
            return None
        convert: Callable[[Any], Any] = int if kind == "int" else float
        return Dimension(key, kind, convert(low.content), convert(high.content), step, log)

    def _check_bound(self, key: str, kind: Kind, place: Place, bound: Node) -> None:
        """Notes a bound that the setting would refuse; both ends are good, and then what is between them is."""
        number = bound if kind == "int" else Node(float(bound.content), bound.source)
        whole = number.content == int(number.content)
        # A setting that takes whole numbers refuses 2.0 as well: say what helps.
        if kind != "int" and whole and not self._takes_fractions(key, int(number.content), bound.source):
            self._report.add(place, f"{key} takes whole numbers: write int instead of {kind}", value=bound.plain())
        else:
            self._choices.normal(key, place, number)

    def _takes_fractions(self, key: str, value: int, source: str) -> bool:
        """Whether a setting that takes a whole number takes the same as a real number."""
        takes = self._choices.takes
        return takes(key, Node(float(value), source)) or not takes(key, Node(value, source))

    def _bounds(self, kind: Kind, place: Place, node: Node) -> dict[str, tuple[Place, Node]] | None:
        """Name of each bound -> where it is, and it, each of the right type; None where the form is wrong."""
        if isinstance(node.content, list) and len(node.content) == 2:
            named = {name: ((*place, index), node.content[index]) for index, name in enumerate(("low", "high"))}
        elif isinstance(node.content, Mapping):
            named = {name: ((*place, name), item) for name, item in node.content.items()}
            for name in [name for name in named if name not in BOUNDS[kind]]:
                meant = nearest(name, BOUNDS[kind])
                self._report.add((*place, name), "unknown key", nearest=meant, choices=BOUNDS[kind])
            for name in ("low", "high"):
                if name not in named:
                    self._report.add(place, f"has no {name}")
        else:
            self._report.add(place, "must be two bounds, such as [1, 5]", value=node.plain())
            return None
        for problem_at, message, item in self._wrong_types(kind, named):
            self._report.add(problem_at, message, value=item.plain())
        return named

    def _wrong_types(self, kind: Kind, named: Mapping[str, tuple[Place, Node]]) -> Iterator[tuple[Place, str, Node]]:
        for name, (at, item) in named.items():
            value = item.content
            if self._report.is_broken(at):
                continue
            if name == "log":
                if type(value) is not bool:
                    yield at, "must be true or false", item
            elif kind == "int" and type(value) is not int:
                yield at, "must be a whole number", item
            elif kind == "int" and abs(value) > _LARGEST_INT:
                yield at, f"must be at most {_LARGEST_INT}", item
            elif name == "step" and value < 1:
                yield at, "must be at least 1", item
            elif type(value) not in (int, float) or not abs(value) <= _LARGEST_FLOAT:
                yield at, "must be a number", item


def place_of(key: str) -> Place:
    """Where the entry of a key stands."""
    return ("search", "space", key)
