"""What a worker is told about a run: values and paths, nothing that lives in the driver's process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from utils.identity import derive_seed


@dataclass(frozen=True)
class RunSpec:
    """One configuration on one fold.

    settings: the configuration's settings as JSON-like values (`Settings.model_dump(mode="json")`).
    cache, split_file, weights: prepared by the driver, readable from every worker.
    threads: CPU threads of the worker; device: ``cpu``, ``cuda``, ``mps``, or ``auto``, the best there is.
    gpus: how many it occupies, or the share of one. packed: whether that is less than one because it fits, so that it
    could have one to itself.
    storage: the URL of the store by which files travel; None where workers share the driver's folders.
    taken: when a worker took the run, by the ``time.perf_counter`` of its process; None where nobody noted it.
    """

    sweep: str
    configuration: str
    name: str
    fold: int
    settings: Mapping[str, Any]
    folder: Path
    cache: Path
    split_file: Path
    weights: Path | None
    data: str
    split: str
    code: str
    threads: int = 1
    device: str = "cpu"
    gpus: float = 0.0
    packed: bool = False
    storage: str | None = None
    taken: float | None = None

    @property
    def seed(self) -> int:
        """The run's seed: from the sweep's seed, the configuration and the fold."""
        return derive_seed(self.settings["training"]["seed"], self.configuration, self.fold)

    def to_json(self) -> dict[str, Any]:
        """JSON-like values that `from_json` takes back: what crosses the process boundary."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunSpec:
        """The inverse of `to_json`."""
        paths = {key: Path(values[key]) for key in ("folder", "cache", "split_file")}
        weights = Path(values["weights"]) if values["weights"] is not None else None
        return cls(**{**values, **paths, "weights": weights})
