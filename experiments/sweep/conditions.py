"""What `when` says beside the keys of `search.space`: for which configurations a key is drawn at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.sweep.choices import Choices, label_of, lookup
from experiments.sweep.file.problems import Report
from experiments.sweep.file.reader import Node, Place
from experiments.sweep.schema.keys import is_part, owner
from experiments.sweep.schema.space import WHEN
from experiments.sweep.space import Condition, Dimension, part_name
from utils.identity import canonical_json


class Conditions:
    """Reads and judges conditions; what is wrong goes to the report."""

    def __init__(self, choices: Choices, report: Report) -> None:
        self._choices, self._report = choices, report

    def of(self, key: str, node: Node) -> tuple[Condition, ...]:
        """The conditions of a key, from its `when`."""
        place: Place = ("search", "space", key, WHEN)
        if not isinstance(node.content, Mapping) or not node.content:
            message = "must name settings and their values, such as {model.decoder: unet}"
            self._report.add(place, message, value=node.plain())
            return ()
        conditions = []
        for other, wanted in node.content.items():
            here = (*place, other)
            if other == key:
                self._report.add(here, "is drawn by this very entry: it cannot depend on itself")
            elif self._choices.is_variable(other, here):
                conditions.append(self._condition(other, here, wanted))
        return tuple(conditions)

    def in_order_of_drawing(self, dimensions: Mapping[str, Dimension]) -> tuple[Dimension, ...]:
        """The dimensions, each after those that it depends on, else as in the file; circles are noted and left out."""
        waiting = dict(dimensions)
        ordered: list[Dimension] = []
        while waiting:
            free = next((each for each in waiting.values() if not _depends_on(each, waiting)), None)
            if free is None:
                circle = _circle(waiting)
                message = f"goes round in a circle: {' -> '.join((*circle, circle[0]))}"
                at = (WHEN,) if dimensions[circle[0]].when else ()
                self._report.add(("search", "space", circle[0], *at), message)
                break
            ordered.append(waiting.pop(free.key))
        return tuple(ordered)

    def check(self, dimensions: Mapping[str, Dimension], templates: Sequence[Mapping[str, Any]]) -> None:
        """Notes conditions that never hold, and options whose part may be another one.

        templates: the nested settings of every combination of grid and cases.
        """
        for dimension in dimensions.values():
            for condition in dimension.when:
                self._check_possible(dimension, condition, dimensions, templates)
            self._check_pinned(dimension, dimensions, templates)

    def _condition(self, key: str, place: Place, wanted: Node) -> Condition:
        # A list is several values, unless the setting itself is a list.
        several = isinstance(wanted.content, list) and not self._choices.takes(key, wanted)
        items = [((*place, i), item) for i, item in enumerate(wanted.content)] if several else [(place, wanted)]
        if not items:
            self._report.add(place, "must be a value or a list of values", value=wanted.plain())
        normals = [self._choices.normal(key, at, item) for at, item in items]
        return Condition(key, tuple(item.plain() for _, item in items), tuple(normals))

    def _check_possible(
        self,
        dimension: Dimension,
        condition: Condition,
        dimensions: Mapping[str, Dimension],
        templates: Sequence[Mapping[str, Any]],
    ) -> None:
        place = ("search", "space", dimension.key, WHEN, condition.key)
        source = dimensions.get(condition.key)
        if (
            self._report.is_broken(place)
            or not templates
            or owner(condition.key) in dimensions.keys() - {condition.key}
        ):
            return
        if source is not None and source.kind in ("uniform", "log_uniform"):
            self._report.add(place, f"is drawn from a range ({source.kind}), and hardly ever has one certain value")
            return
        possible = self._possible(condition.key, dimensions, templates)
        for index, (wanted, normal) in enumerate(zip(condition.values, condition.normals, strict=True)):
            alone = Condition(condition.key, (wanted,), (normal,))
            if not any(alone.holds(value) for value in possible):
                at = (*place, index) if self._report.root.at((*place, index)) is not None else place
                named = tuple(dict.fromkeys(label_of(part_name(value)) for value in possible))
                self._report.add(at, f"{condition.key} never has this value", value=wanted, choices=named)

    def _check_pinned(
        self, dimension: Dimension, dimensions: Mapping[str, Dimension], templates: Sequence[Mapping[str, Any]]
    ) -> None:
        """A draw of `model.decoder.unet.depth` would turn any other decoder into a unet."""
        part = owner(dimension.key)
        if part == dimension.key or not is_part(part):
            return
        name = dimension.key.removeprefix(f"{part}.").partition(".")[0]
        pinned = any(
            each.key == part and {part_name(value) for value in each.values} == {name} for each in dimension.when
        )
        others = {part_name(value) for value in self._possible(part, dimensions, templates)} - {name}
        if others and not pinned:
            message = f"is an option of {name}, and {part} may be {', '.join(sorted(map(label_of, others)))}"
            message += f"; add when: {{{part}: {name}}}"
            self._report.add(("search", "space", dimension.key), message)

    def _possible(
        self, key: str, dimensions: Mapping[str, Dimension], templates: Sequence[Mapping[str, Any]]
    ) -> list[Any]:
        """The values that a setting may have when what depends on it is drawn."""
        source = dimensions.get(key)
        drawn = [] if source is None else list(source.normals) or source.all_values()
        if source is None or source.when:  # not drawn, or not always: as in the file
            drawn += _distinct(lookup(settings, key) for settings in templates)
        return drawn


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({canonical_json(value): value for value in values}.values())


def _depends_on(dimension: Dimension, others: Mapping[str, Dimension]) -> list[str]:
    """Those of `others` that must be drawn first: what its conditions name, and the part that it is an option of."""
    wanted = [each.key for each in dimension.when] + [owner(each.key) for each in dimension.when]
    wanted.append(owner(dimension.key))
    return [key for key in dict.fromkeys(wanted) if key in others and key != dimension.key]


def _circle(waiting: Mapping[str, Dimension]) -> list[str]:
    """Keys that each wait for the next, the last for the first."""
    path = [next(iter(waiting))]
    while True:
        step = _depends_on(waiting[path[-1]], waiting)[0]
        if step in path:
            return path[path.index(step) :]
        path.append(step)
