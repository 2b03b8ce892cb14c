"""The registered metrics as a Markdown table: `python -m utils.metrics.table`."""

from __future__ import annotations

import math
from typing import Any

from utils.metrics import METRICS, Metric

COLUMNS = ("metric", "per", "better", "range", "unit", "options", "where there is nothing to measure", "reference")


def metrics_table() -> str:
    """One row per metric, in the order of the CSV columns."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(metric) for metric in METRICS.values())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(metric: Metric) -> tuple[str, ...]:
    low, high = metric.range
    return (
        f"`{metric.name}`",
        metric.kind,
        "higher" if metric.direction == "max" else "lower",
        f"{low:g} to {'∞' if math.isinf(high) else f'{high:g}'}",
        metric.unit,
        _options(METRICS.check(metric.name, {})),
        metric.empty_case,
        metric.reference,
    )


def _options(defaults: dict[str, Any]) -> str:
    return ", ".join(f"`{name}: {value}`" for name, value in defaults.items())


if __name__ == "__main__":
    print(metrics_table(), end="")
