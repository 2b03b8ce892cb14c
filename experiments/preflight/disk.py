"""Whether the disk has room for what the runs will write: checkpoints and image caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.ledger import Ledger
from experiments.ledger.record import CHECKPOINT
from experiments.preparation import PlannedConfiguration
from models.memory import TrainingMemory
from utils.errors import Problem
from utils.images.cache import cache_key


@dataclass(frozen=True)
class DiskNeed:
    """Bytes that a sweep will still write.

    caches: images at the network's size, of caches that are not there. kept: the best checkpoint of every run that is
    to be done. passing: what the runs that are executed at once need beside it, ``last.pt`` (weights and optimizer),
    and the old and the new of both checkpoints while one replaces the other.
    """

    caches: int
    kept: int
    passing: int

    @property
    def first(self) -> int:
        """What must be there before anything can run."""
        return self.caches + self.passing

    @property
    def whole(self) -> int:
        """What must be there for the sweep to end."""
        return self.caches + self.kept + self.passing


def disk_need(
    planned: Sequence[PlannedConfiguration],
    memory: Mapping[str, TrainingMemory],
    ledger: Ledger,
    caches: Path,
    at_once: int,
) -> DiskNeed:
    """What these configurations' missing runs need.

    memory: configuration id -> of its network, where it was estimated; of others what they have written already
    is taken. caches: the folder of the image caches. at_once: how many runs are executed at the same time.
    """
    kept, passing, missing = 0, [0], {}
    for one in planned:
        runs = [(one.id, fold) for fold in range(one.folds)]
        left = len(runs) - len(ledger.records(runs))
        if left:
            missing[one.id] = one
            best, last = _checkpoints(one, memory.get(one.id), ledger)
            kept += left * best
            passing += left * [best + 2 * last]
    together = sum(sorted(passing, reverse=True)[:at_once])
    return DiskNeed(_cache_bytes(list(missing.values()), caches), kept, together)


def disk_findings(need: DiskNeed, free: int, folder: Path) -> tuple[list[Problem], list[Problem]]:
    """(problems, warnings) of a folder with so many free bytes: too few for anything, or too few for all of it."""
    if need.whole <= free:
        return [], []
    where = f"{_gigabytes(free)} are free in {folder}"
    parts = f"{_gigabytes(need.kept)} of checkpoints to keep, {_gigabytes(need.passing)} for the runs under way"
    parts += f" and {_gigabytes(need.caches)} of prepared images"
    if need.first > free:
        message = f"{where}, and the first runs alone need {_gigabytes(need.first)} ({parts} in all)"
        return [Problem("--results", f"{message}: make room, or let results go to another disk")], []
    message = f"{where}, and the whole sweep needs about {_gigabytes(need.whole)} ({parts})"
    return [], [Problem("--results", f"{message}: make room while it runs")]


def _checkpoints(planned: PlannedConfiguration, memory: TrainingMemory | None, ledger: Ledger) -> tuple[int, int]:
    """Bytes of (best.pt, last.pt) of a run."""
    if memory is not None:
        return memory.network, memory.network + memory.optimizer
    folders = [ledger.folder(planned.id, fold) for fold in range(planned.folds)]
    sizes = [
        max((path.stat().st_size for folder in folders if (path := folder / name).is_file()), default=0)
        for name in (CHECKPOINT, "last.pt")
    ]
    # A finished run has no last.pt any more; Adam's state is twice the weights.
    return sizes[0], sizes[1] or 3 * sizes[0]


def _cache_bytes(planned: Sequence[PlannedConfiguration], folder: Path) -> int:
    """Images, taken to have colours, and masks, one byte a pixel and channel, of every cache that is to be built."""
    needed: dict[str, int] = {}
    for one in planned:
        dataset, source = one.configuration.settings.dataset, one.source
        parts = [(part.name, dict(part.options)) for part in dataset.preprocessing]
        key = cache_key(source.contents, parts, dataset.height_width, source.dataset.classes)
        if not (folder / key).exists():
            height, width = dataset.height_width
            needed[key] = len(source.contents) * height * width * 4
    return sum(needed.values())


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
