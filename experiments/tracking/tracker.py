"""What a dashboard is told, and the interface of everything that can show it."""

from __future__ import annotations

import csv
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

from experiments.ledger import Record
from utils.errors import Problem, UserError
from utils.identity import digest
from utils.registry import Registry

TRACKERS: Registry = Registry("tracker")
"""Name -> factory of a `Tracker`; ``none`` makes none."""

_NOT_ALLOWED = re.compile(r"[^\w\-. /]")


@dataclass(frozen=True)
class TrackedRun:
    """A run that has ended. name: of its configuration, for people. folder: of its files."""

    name: str
    record: Record
    folder: Path

    @cached_property
    def identity(self) -> str:
        """A hash of all that a dashboard shows of it: a run that was repeated is another one."""
        return digest(self.record.model_dump(mode="json"), 32)

    @property
    def title(self) -> str:
        """For people: ``unet, fold 0``."""
        return f"{self.name}, fold {self.record.fold}"

    @property
    def parameters(self) -> dict[str, str | int | float | bool]:
        """Dotted key -> value of every setting; lists and parts as text."""
        return dict(sorted(_flat(self.record.settings)))

    @property
    def metrics(self) -> dict[str, float]:
        """The final ones, ``test_dice``, and what the run has cost; without those that are not defined."""
        record = self.record
        found = {f"test_{name}": value for name, value in record.metrics.items()}
        found |= {"params_millions": record.params_millions, "gflops": record.gflops, "epochs": record.epochs}
        found |= {"train_seconds": record.train_seconds, "best_epoch": record.best_epoch}
        return {allowed(name): float(value) for name, value in found.items() if value is not None}

    @property
    def facts(self) -> dict[str, str]:
        """What is neither a setting nor a number: where the run comes from, and how it ended."""
        record = self.record
        known = {name: str(getattr(record, name)) for name in ("sweep", "configuration", "fold", "status", "error")}
        known |= {name: getattr(record, name) for name in ("code", "data", "split", "device")}
        return {**known, "adjustments": "; ".join(record.adjustments)}

    def epochs(self) -> list[dict[str, float]]:
        """The rows of its ``epochs.csv`` by epoch, ``epoch`` among the columns; none for a run that never trained."""
        path = self.folder / "epochs.csv"
        if path.name not in self.record.files:
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {allowed(name): float(cell) for name, cell in row.items() if cell not in ("", None)}
                for row in csv.DictReader(file)
            ]


@dataclass(frozen=True)
class TrackedSweep:
    """A sweep that has ended. files: ``<folder in the dashboard>/<name>`` -> the file. metrics: of the winner."""

    name: str
    question: str
    winner: str
    metrics: Mapping[str, float]
    files: Mapping[str, Path]

    @cached_property
    def identity(self) -> str:
        """A hash of what the sweep has come to."""
        sizes = {name: path.stat().st_size for name, path in self.files.items()}
        return digest([self.name, self.winner, dict(self.metrics), sizes], 32)


class Tracker(Protocol):
    """A dashboard. Everything may raise anything: what goes wrong is said once and tried again at the sweep's end."""

    package: ClassVar[str]
    """What must be installed, as pip calls it; the extra of this project has the tracker's name."""

    def open(self, sweep: str, results: Path) -> None:
        """Makes ready to write about a sweep. results: the folder."""
        ...

    def known(self) -> set[str]:
        """The identities of what is there and complete."""
        ...

    def write(self, run: TrackedRun) -> None:
        """Shows a run; what is left of one that was broken off is replaced."""
        ...

    def conclude(self, sweep: TrackedSweep) -> None:
        """Shows what the sweep has come to, in place of what it had come to before."""
        ...


@TRACKERS.register("none")
def none() -> None:
    """No dashboard but the study."""
    return None


def check_installed(name: str, tracker: Tracker, module: str) -> None:
    """Raises UserError with pip's command where the tracker's package is missing."""
    if importlib.util.find_spec(module) is None:
        command = f"pip install '{tracker.package}' (or pip install '.[{name}]' in this project's folder)"
        message = f"needs a package that is not installed: {command}; or leave tracking out"
        raise UserError(Problem("tracking", message, value=name))


def allowed(name: str) -> str:
    """A name of a metric as every dashboard takes it: a diagnosis may be called anything."""
    return _NOT_ALLOWED.sub("_", name)


def _flat(value: Mapping[str, Any], above: str = "") -> list[tuple[str, str | int | float | bool]]:
    found: list[tuple[str, str | int | float | bool]] = []
    for key, inside in value.items():
        if isinstance(inside, Mapping) and inside:
            found += _flat(inside, f"{above}{key}.")
        else:
            found.append((allowed(above + key), inside if isinstance(inside, str | int | float) else str(inside)))
    return found
