"""How much memory runs will take on a GPU: as it was measured where that was done, else as the preflight counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.ledger.record import RECORD_FILE, Record
from experiments.preparation import PlannedConfiguration
from experiments.sweep import nested
from utils.identity import digest

_MEBIBYTE = 2**20

# What decides about the memory of no step: of a setting that is not here nobody has thought yet, and it counts.
_WEIGHTLESS = {
    "training": {
        *("seed", "epochs", "lr", "weight_decay", "momentum", "scheduler", "warmup_epochs", "gradient_clip"),
        *("segmentation_loss", "classification_loss", "classification_weight", "class_weights", "sampler"),
        *("early_stopping", "freeze_encoder_epochs", "retry_diverged", "snapshots"),
    },
    "model": {"encoder_weights", "batch_norm_momentum"},
}


class Peaks:
    """Peaks of tensors on the GPU, by configuration.

    planned: id -> configuration; may grow. estimate: bytes by the preflight, None where it has none. record: of a run,
    None if it has not ended. earlier: as `measured_peaks` has it.
    """

    def __init__(
        self,
        planned: Mapping[str, PlannedConfiguration],
        estimate: Callable[[str], int | None],
        record: Callable[[str, int], Record | None],
        earlier: Mapping[str, int],
    ) -> None:
        self._planned, self._estimate, self._record, self._earlier = planned, estimate, record, earlier

    def of(self, configuration: str) -> int | None:
        """Bytes; None where nobody knows.

        The most that its own folds have taken; else what other runs with the same network and batch have, in this
        sweep or an earlier one; else the estimate.
        """
        planned = self._planned[configuration]
        records = (self._record(configuration, fold) for fold in range(planned.folds))
        own = max((_peak(vars(record)) for record in records if record is not None), default=0)
        if own:
            return own
        known = self._earlier.get(memory_key(nested(planned.configuration.settings)))
        return self._estimate(configuration) if known is None else known


def memory_key(settings: Mapping[str, Any]) -> str:
    """What configurations agree in that take the same memory. settings: nested, as a record has them."""
    sections = {
        name: {key: value for key, value in settings.get(name, {}).items() if key not in left_out}
        for name, left_out in _WEIGHTLESS.items()
    }
    dataset = settings.get("dataset", {})
    return digest({**sections, "dataset": {key: dataset.get(key) for key in ("name", "image_size")}})


def measured_peaks(results: Path) -> dict[str, int]:
    """`memory_key` -> the most bytes that runs have been seen to take on a GPU, by all ledgers under `results`."""
    peaks: dict[str, int] = {}
    for content in _records(results / "runs"):
        if peak := _peak(content):
            key = memory_key(content.get("settings", {}))
            peaks[key] = max(peaks.get(key, 0), peak)
    return peaks


def _records(runs: Path) -> Iterator[dict[str, Any]]:
    """One record of each configuration that has any. A damaged one is as good as none: this is for estimates only."""
    for configuration in sorted(runs.glob("*/*/")):
        for path in sorted(configuration.glob(f"fold-*/{RECORD_FILE}")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(content, dict):
                yield content
                break


def _peak(record: Mapping[str, Any]) -> int:
    """Bytes on the GPU that a complete run took as its settings have it; 0 if it was on none, or had to adjust."""
    on_gpu = record.get("device", "").partition(":")[0] not in ("", "cpu", "mps")
    if record.get("status") != "complete" or not on_gpu or record.get("adjustments"):
        return 0
    return round((record.get("peak_memory_mb") or 0.0) * _MEBIBYTE)
