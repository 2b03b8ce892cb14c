"""How names, numbers and lists are written for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from experiments.figures.labels import metric_name
from utils.metrics import METRICS

UNDEFINED = "\N{EN DASH}"
"""Stands where there is no number."""


def metric_title(name: str) -> str:
    """A metric's name as the field writes it: ``macro_f1`` is ``Macro F1``."""
    return metric_name(METRICS[name])


def metric_number(name: str, value: float) -> str:
    """A metric's value: three decimals for a ratio, two for what has a unit; an en dash where it is not defined."""
    if math.isnan(value):
        return UNDEFINED
    low, high = METRICS[name].range
    return format(value, ".3f" if high - low <= 2 else ".2f")


def significant(value: float, digits: int = 3) -> str:
    """A number to so many digits, without an exponent where that can be read; an en dash for NaN."""
    if math.isnan(value):
        return UNDEFINED
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return format(value, f".{max(digits - 2, 0)}e")
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return format(value, f".{places}f")


def listed(names: Sequence[str], limit: int = 5) -> str:
    """``a``, ``a and b``, ``a, b and c``; beyond `limit` names ``a, b, c and 12 others``."""
    shown = list(names)
    if len(shown) > limit + 1:
        shown = [*shown[:limit], f"{len(shown) - limit} others"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def hours(seconds: float) -> str:
    """A long time as a person says it: ``40 s``, ``12 min``, ``3.4 hours``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} hours"
