"""What a sweep has come to, for a dashboard."""

from __future__ import annotations

from experiments.opened import OpenedSweep
from experiments.tracking.tracker import TrackedSweep, allowed


def tracked_sweep(opened: OpenedSweep) -> TrackedSweep | None:
    """What a sweep has come to; None while no configuration is ranked.

    The files: leaderboard, report and figures as far as they are there, and the best network of every fold.
    """
    best = opened.leaderboard.ranked()[0]
    if best.rank is None:
        return None
    name, results = opened.sweep.name, opened.results
    files = {path.name: path for path in (results / f"{name}.csv", results / f"{name}.html") if path.is_file()}
    files |= {f"figures/{path.name}": path for path in sorted((results / "figures" / name).glob("*.png"))}
    for record in best.finished:
        path = opened.ledger.folder(record.configuration, record.fold) / "best.pt"
        if path.is_file():
            files[f"model/fold-{record.fold}/{path.name}"] = path
    told: dict[str, list[float]] = {}
    for record in best.finished:
        for metric, value in record.metrics.items():
            if value is not None:
                told.setdefault(allowed(f"test_{metric}_mean"), []).append(value)
    means = {metric: sum(values) / len(values) for metric, values in told.items() if len(values) == len(best.finished)}
    return TrackedSweep(name, opened.sweep.question, best.entry.name, means, files)
