"""Folds that the data themselves name: a whole hospital held out, or the training and test parts of a publication."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from utils.datasets.case import SOURCE, SPLIT, Case
from utils.errors import Problem, UserError, nearest, shortened
from utils.splits.folds import PARTS, Fold, Split, check_split, folds_of

WHERE = "folds.from"


def split_by_source(cases: Sequence[Case], groups: Mapping[str, str], *, seed: int, validation: float) -> Split:
    """A fold for each source, in the order of their names, that tests on it what was trained on the others.

    groups: case id -> group id. validation: the share of the other sources' cases that steers training.
    Raises UserError where there are fewer than two sources, where a group is in two of them (a near-copy, or a patient
    who was in both places), and where a class is in one source alone.
    """
    source_of = _told(cases, SOURCE)
    sources = sorted(set(source_of.values()))
    problems = list(_shared(source_of, groups, "sources"))
    if len(sources) < 2:
        problems = [Problem(WHERE, "there is one source only, so that nothing is left to train on", value=SOURCE)]
    if problems:
        raise UserError(shortened(problems))
    arrays = _Arrays.of(cases, groups)
    told = np.array([source_of[name] for name in arrays.names])
    return folds_of(arrays.names, arrays.labels, arrays.groups, [told == one for one in sources], seed, validation)


def split_as_given(cases: Sequence[Case], groups: Mapping[str, str], *, seed: int, validation: float) -> Split:
    """One fold of the parts that the cases are assigned to: train, validation and test.

    groups: case id -> group id. validation: the share of the training part that steers training, where the data have
    no validation part. Raises UserError where the data cut a group in two, or have no test part.
    """
    part_of = _told(cases, SPLIT)
    problems = [
        Problem(WHERE, f"the case {case!r} is in no such part", "", part, nearest(part, PARTS), PARTS)
        for case, part in part_of.items()
        if part not in PARTS
    ]
    problems += _shared(part_of, groups, "parts")
    present = set(part_of.values())
    problems += [Problem(WHERE, f"no case is in the {part} part") for part in ("train", "test") if part not in present]
    if problems:
        raise UserError(shortened(problems))
    if "validation" not in present:
        arrays = _Arrays.of(cases, groups)
        tested = np.array([part_of[name] == "test" for name in arrays.names])
        return folds_of(arrays.names, arrays.labels, arrays.groups, [tested], seed, validation)
    parts = {part: tuple(sorted(case for case in part_of if part_of[case] == part)) for part in PARTS}
    split = Split((Fold(0, **parts),))
    if found := check_split(split, groups, WHERE):
        raise UserError(found)
    return split


@dataclass(frozen=True)
class _Arrays:
    """Ids, labels and groups of the cases, by ascending id."""

    names: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[Case], groups: Mapping[str, str]) -> _Arrays:
        ordered = sorted(cases, key=lambda case: case.id)
        names = np.array([case.id for case in ordered], dtype=object)
        return cls(names, np.array([case.label for case in ordered]), np.array([groups[name] for name in names]))


def _told(cases: Sequence[Case], attribute: str) -> dict[str, str]:
    """Case id -> what its attribute says. Raises UserError naming cases that do not have it."""
    silent = sorted(case.id for case in cases if not case.attributes.get(attribute))
    if silent:
        named = ", ".join(map(repr, silent[:3]))
        message = f"{len(silent)} of {len(cases)} cases do not say their {attribute}, such as {named}"
        raise UserError(Problem(WHERE, message, value=attribute))
    return {case.id: case.attributes[attribute] for case in cases}


def _shared(told: Mapping[str, str], groups: Mapping[str, str], what: str) -> Iterable[Problem]:
    """One problem for each group with cases in two places."""
    members: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for case in sorted(told):
        members[groups[case]].setdefault(told[case], case)
    for places in members.values():
        if len(places) > 1:
            named = ", ".join(f"{case!r} in {place}" for place, case in sorted(places.items()))
            message = f"what belongs together is in {len(places)} {what}: {named}; leave all but one of them out"
            yield Problem(WHERE, message)
