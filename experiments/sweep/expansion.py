"""The search section, expanded: grid x cases without the excluded, every problem in it noted.

Order: as written. Cases are the outer loop, then the grid's keys from first to last, the last varying fastest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.sweep.choices import MOST_CONFIGURATIONS, Choice, Choices, sections
from experiments.sweep.configuration import Configuration, nested
from experiments.sweep.contradictions import contradictions
from experiments.sweep.dimensions import Dimensions
from experiments.sweep.file.layers import assign_all
from experiments.sweep.file.problems import Report
from experiments.sweep.file.reader import Node, Place
from experiments.sweep.schema.keys import default_of, split
from experiments.sweep.schema.search import SearchSettings
from experiments.sweep.schema.settings import Settings
from experiments.sweep.space import Space, Template, matches
from utils.identity import canonical_json


@dataclass(frozen=True)
class Candidate:
    """A combination of choices, with the settings that they make."""

    choices: tuple[Choice, ...]
    tree: Node
    settings: Settings

    @property
    def places(self) -> dict[str, Place]:
        """Where each varied key got its value."""
        return {key: place for choice in self.choices for key, (place, _) in choice.values.items()}

    @property
    def case(self) -> str | None:
        """The name of its case, if it has one."""
        return next((choice.case for choice in self.choices if choice.case), None)


class Expansion:
    """The configurations of a sweep, from its tree with everything broken taken out."""

    def __init__(self, base: Node, report: Report, merge_equal: bool) -> None:
        """base: a tree whose settings are valid. merge_equal: whether equal configurations are no problem."""
        self._base = base
        self._report = report
        self._merge_equal = merge_equal
        self._choices = Choices(base, report)
        self._dimensions = Dimensions(self._choices, report)
        self._patterns = list(self._choices.exclusions())
        self._templates: tuple[Template, ...] = ()

    @property
    def varied(self) -> tuple[str, ...]:
        """The keys that vary, `case` first where there are named cases, those of the space last."""
        keys = dict.fromkeys((*self._choices.keys, *self._dimensions.keys))
        return ("case", *keys) if self._choices.named else tuple(keys)

    def configurations(self) -> tuple[Configuration, ...]:
        """All of them; what is wrong with them is in the report afterwards."""
        count = math.prod(len(axis) for axis in self._choices.axes)
        if count > MOST_CONFIGURATIONS:
            message = f"makes {count} configurations; at most {MOST_CONFIGURATIONS} are possible"
            self._report.add(("search",), message)
            return ()
        candidates = list(
            self._excluded([self._candidate(choices) for choices in itertools.product(*self._choices.axes)])
        )
        for candidate in candidates:
            self._contradictions(candidate)
        self._templates = tuple(
            Template(self._configuration(candidate), candidate.tree) for candidate in self._distinct(candidates)
        )
        return tuple(template.configuration for template in self._templates)

    def space(self, search: SearchSettings) -> Space | None:
        """What is drawn for each of the configurations, once they are made; None if nothing is."""
        drawn = [pattern for _, pattern in self._patterns if self._is_drawn(pattern)]
        return self._dimensions.space(search, self._templates, drawn, lenient=self._merge_equal)

    def _candidate(self, choices: tuple[Choice, ...]) -> Candidate:
        values = [(split(key), node) for choice in choices for key, (_, node) in choice.values.items()]
        tree = assign_all(self._base, values)
        return Candidate(choices, tree, Settings.model_validate(sections(tree)))

    def _excluded(self, candidates: list[Candidate]) -> Iterator[Candidate]:
        """The candidates that no entry of `exclude` drops."""
        # Where a drawn key takes part, it is the draw that is dropped.
        patterns = [item for item in self._patterns if not self._is_drawn(item[1])]
        values = [nested(candidate.settings) for candidate in candidates]
        dropped: set[int] = set()
        for place, pattern in patterns:
            matching = {i for i, c in enumerate(candidates) if matches(pattern, c.case, values[i])}
            if not matching and not self._is_doubtful(pattern):
                self._report.add(place, "matches no configuration", value=pattern)
            dropped |= matching
        if candidates and len(dropped) == len(candidates):
            self._report.add(("search", "exclude"), "leaves no configuration")
        return (candidate for i, candidate in enumerate(candidates) if i not in dropped)

    def _is_drawn(self, pattern: Mapping[str, Any]) -> bool:
        return not set(pattern).isdisjoint(self._dimensions.keys)

    def _is_doubtful(self, pattern: Mapping[str, Any]) -> bool:
        """Whether an entry of `exclude` may match nothing only because of another problem."""
        broken = self._report.broken
        misspelt = any(place[:2] == ("search", "grid") and len(place) == 3 for place in broken)
        misspelt |= any(place[:2] == ("search", "cases") for place in broken)
        unsure = any(place[:2] == ("search", "grid") and place[2:3] == (key,) for place in broken for key in pattern)
        base = any(self._report.is_broken(split(key)) for key in pattern)
        return unsure or base or (misspelt and not set(pattern) <= set(self._choices.keys))

    def _contradictions(self, candidate: Candidate) -> None:
        places = candidate.places

        def given(key: str) -> bool:
            node = candidate.tree.at(split(key))
            return node is not None and node.content is not None

        for found in contradictions(candidate.settings, given):
            involved = [places.get(key, split(key)) for key in found.keys]
            if not set(found.keys).isdisjoint(self._dimensions.keys):
                continue  # what the draw says decides
            if not any(self._report.is_broken(place) for place in involved):
                self._report.add(
                    involved[0],
                    found.message,
                    value=found.value,
                    nearest=found.nearest,
                    choices=found.choices,
                    breaks=False,
                )

    def _distinct(self, candidates: list[Candidate]) -> list[Candidate]:
        kept: list[Candidate] = []
        names: dict[str, str] = {}
        for candidate in candidates:
            text = canonical_json(nested(candidate.settings))
            if text not in names:
                names[text] = _name(candidate.choices)
                kept.append(candidate)
            elif not self._merge_equal:
                place = next(iter(candidate.places.values()), ("search",))
                message = f"{_name(candidate.choices)} is the same configuration as {names[text]}"
                self._report.add(place[:3], message, breaks=False)
        return kept

    def _configuration(self, candidate: Candidate) -> Configuration:
        varied: dict[str, Any] = {}
        for key in self.varied:
            if key == "case":
                varied[key] = candidate.case
            elif key not in self._dimensions.keys:
                node = candidate.tree.at(split(key))
                varied[key] = node.plain() if node is not None else default_of(key)
        return Configuration(candidate.settings, varied, _name(candidate.choices))


def _name(choices: tuple[Choice, ...]) -> str:
    """The label of the only choice, or of each with the last step of its key: ``mixup, lr=0.001``."""
    if not choices:
        return "base"
    if len(choices) == 1:
        return choices[0].label
    keys = [next(iter(choice.values), "") for choice in choices if not choice.case]
    lasts = [key.rpartition(".")[2] for key in keys]
    names = {key: last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)}
    return ", ".join(c.label if c.case else f"{names[next(iter(c.values))]}={c.label}" for c in choices)
