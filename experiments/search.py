"""The search of a sweep with a space: what has been drawn, and what is drawn next.

A draw is a function of the draws before it and of the records in the ledger: killing the driver loses none, and the
same command first completes the configurations that were begun.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from experiments.ledger import Ledger
from experiments.ledger.proposals import Proposals
from experiments.preparation import PlannedConfiguration, Survey
from experiments.sweep import ContradictionError, Space, Sweep
from utils.errors import Problem, UserError
from utils.identity import canonical_json, derive_seed, digest

# A draw that is there already, or contradicts itself, is drawn again: first as the sampler would, then blindly.
_AS_SAMPLED = 20
_BLINDLY = 500


@dataclass
class Drawn:
    """The draws of one template; values[i] made planned[i]."""

    template: PlannedConfiguration
    key: str
    values: list[dict[str, Any]] = field(default_factory=list)
    planned: list[PlannedConfiguration] = field(default_factory=list)


class Search:
    """Draws configurations, the same number for each combination of grid and cases, in turns.

    planned: the configurations drawn so far, in the order of drawing.
    """

    def __init__(self, sweep: Sweep, found: Survey, ledger: Ledger) -> None:
        """found: the survey of the sweep, whose configurations are the templates. Raises ValueError without a space."""
        if sweep.space is None:
            raise ValueError(f"{sweep.name} draws nothing")
        self.space: Space = sweep.space
        self._objective, self._found, self._ledger = sweep.objective, found, ledger
        self._proposals = Proposals(ledger.root)
        self._templates = [Drawn(template, _key(self.space, template)) for template in found.planned]
        self.planned: list[PlannedConfiguration] = []
        self._ids: set[str] = set()
        positions = {drawn.key: position for position, drawn in enumerate(self._templates)}
        for key, values in self._proposals.of(*positions):
            self._restore(positions[key], values)

    @property
    def left(self) -> int:
        """How many configurations are still to be drawn."""
        return sum(self._left(drawn) for drawn in self._templates)

    @property
    def runs_left(self) -> int:
        """How many runs those will have, if the folds do not vary."""
        return sum(self._left(drawn) * drawn.template.folds for drawn in self._templates)

    def of_template(self, template: PlannedConfiguration) -> list[PlannedConfiguration]:
        """The configurations drawn so far for one of the templates."""
        return next(drawn.planned for drawn in self._templates if drawn.template is template)

    def draw(self) -> PlannedConfiguration | None:
        """The next configuration, written down before it is returned; None when all are drawn.

        Raises UserError where none can be found that is new and does not contradict itself.
        """
        position = min(range(len(self._templates)), key=lambda index: len(self._templates[index].values))
        drawn = self._templates[position]
        if not self._left(drawn):
            return None
        why = ""
        for values in self._candidates(position):
            try:
                planned = self._plan(position, values)
            except ContradictionError as error:
                why = str(error)
                continue
            if planned.id not in self._ids:
                self._proposals.add(drawn.key, values)
                self._keep(drawn, values, planned)
                return planned
        message = f"no {len(drawn.values) + 1} different configurations were found in it"
        if why:
            message += f"; draws that cannot be run are left out, such as one where {why}"
        raise UserError(Problem("search.space", message, value=self.space.samples))

    def _left(self, drawn: Drawn) -> int:
        return max(0, self.space.samples - len(drawn.values))

    def _restore(self, position: int, values: dict[str, Any]) -> None:
        """Takes a draw from the file; one that can no longer be made is left out, and another is drawn for it."""
        drawn = self._templates[position]
        if not self._left(drawn) or not self.space.accepts(position, values):
            return
        try:
            planned = self._plan(position, values)
        except ContradictionError:
            return
        if planned.id not in self._ids:
            self._keep(drawn, values, planned)

    def _keep(self, drawn: Drawn, values: dict[str, Any], planned: PlannedConfiguration) -> None:
        drawn.values.append(values)
        drawn.planned.append(planned)
        self.planned.append(planned)
        self._ids.add(planned.id)

    def _plan(self, position: int, values: dict[str, Any]) -> PlannedConfiguration:
        number = len(self._templates[position].values) + 1
        return self._found.plan(self.space.configuration(position, values, number))

    def _candidates(self, position: int) -> Iterator[dict[str, Any]]:
        """What might be drawn next for a template: as the sampler has it, blindly, and at last whatever is left."""
        from experiments.study.sampler import draw  # with optuna, which a plan does without

        drawn = self._templates[position]
        past = self._past(drawn)
        seed = drawn.template.configuration.settings.training.seed
        for attempt in range(_AS_SAMPLED + _BLINDLY):
            seeded = derive_seed(seed, drawn.template.id, len(drawn.values), attempt)
            yield draw(self.space, position, past, self._objective.mode, seeded, blind=attempt >= _AS_SAMPLED)
        everything = self.space.every(position) or []
        random.Random(derive_seed(seed, drawn.template.id, len(drawn.values), "rest")).shuffle(everything)
        seen = {canonical_json(values) for values in drawn.values}
        yield from (values for values in everything if canonical_json(values) not in seen)

    def _past(self, drawn: Drawn) -> list[Any]:
        from experiments.study.sampler import Draw

        past = []
        for values, planned in zip(drawn.values, drawn.planned, strict=True):
            records = [self._ledger.get(planned.id, fold) for fold in range(planned.folds)]
            known = [record for record in records if record is not None]
            failed = any(record.status == "failed" for record in known)
            scores = [record.metrics.get(self._objective.metric) for record in known]
            defined = [score for score in scores if score is not None]
            complete = not failed and len(defined) == planned.folds
            value = sum(defined) / len(defined) if complete else None
            past.append(Draw(values, value, running=not failed and len(known) < planned.folds))
        return past


def planned_in(sweep: Sweep, found: Survey, ledger: Ledger) -> tuple[list[PlannedConfiguration], int]:
    """Every configuration that is known, those drawn from a space included, and how many are still to be drawn."""
    if sweep.space is None:
        return list(found.planned), 0
    search = Search(sweep, found, ledger)
    return search.planned, search.left


def _key(space: Space, template: PlannedConfiguration) -> str:
    """What draws must agree in to continue each other: space, sampler and what it is drawn for; not their number."""
    return digest({**space.to_json(), "template": template.id})
