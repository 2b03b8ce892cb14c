"""Optuna's distribution of each varied key: of the space where it is drawn, else one that holds all of its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from experiments.sweep import Dimension, Space
from utils.identity import canonical_json


def parameter(value: Any) -> Any:
    """A setting as Optuna takes it: scalars as they are, the rest as JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else canonical_json(value)


def parameters_of(varied: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration's varied values as parameters of a trial."""
    return {key: parameter(value) for key, value in varied.items() if key != "name"}


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """What a key of a space is drawn from."""
    if dimension.kind == "choice":
        return CategoricalDistribution([parameter(value) for value in dimension.values])
    if dimension.kind == "int":
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=dimension.step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def distributions_over(configurations: Iterable[Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """Varied key -> a distribution that holds all its values; from what each configuration has of them.

    Numbers alone make an int or float range, logarithmic if they span a factor of ten or more;
    anything else is categorical, in order of appearance.
    """
    values: dict[str, list[Any]] = {}
    for varied in configurations:
        for key, value in parameters_of(varied).items():
            values.setdefault(key, []).append(value)
    return {key: _holding(list(dict.fromkeys(found))) for key, found in values.items()}


def distributions_in(space: Space) -> dict[str, BaseDistribution]:
    """The distribution of every key of a sweep with a space, whatever has been drawn so far."""
    given = distributions_over(template.configuration.varied for template in space.templates)
    return given | {dimension.key: distribution_of(dimension) for dimension in space.dimensions}


def _holding(values: Sequence[Any]) -> BaseDistribution:
    kinds = {type(value) for value in values}
    if kinds <= {int, float}:
        low, high = min(values), max(values)
        logarithmic = low > 0 and high >= 10 * low
        return (
            IntDistribution(low, high, log=logarithmic)
            if kinds == {int}
            else FloatDistribution(low, high, log=logarithmic)
        )
    return CategoricalDistribution(tuple(values))
