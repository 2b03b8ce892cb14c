"""Everything that a sweep's first minute can know of its last day: all findings, at once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.ledger import Ledger
from experiments.preflight.disk import disk_findings, disk_need
from experiments.preflight.folder import check_folder
from experiments.preflight.network import NetworkCheck, check_network
from experiments.preflight.slot import WORKER_BYTES, Slot
from experiments.preparation import PlannedConfiguration, StageProgress
from models.memory import TrainingMemory
from utils.errors import Problem, UserError


@dataclass(frozen=True)
class Preflight:
    """What was found.

    problems: what stops the sweep. impossible: configuration id -> why its network can never be trained.
    warnings: what will go wrong or slowly unless something is done. memory: configuration id -> estimated peak of a
    training step in bytes, of those that were tried. gflops: likewise, of the forward pass for one image. seconds: what
    finding out took. names: configuration id -> the name for people, of the impossible ones.
    """

    problems: tuple[Problem, ...]
    impossible: Mapping[str, str]
    warnings: tuple[Problem, ...]
    memory: Mapping[str, int]
    gflops: Mapping[str, float]
    seconds: float
    names: Mapping[str, str]

    def raise_on_problems(self, skip_impossible: bool) -> None:
        """Raises UserError with everything that stops the sweep; skip_impossible: the impossible do not."""
        advice = "; leave it out, or let --skip-impossible record its runs as failed"
        impossible = [
            Problem(f"configuration {self.names[id]}", f"can never run: {reason}{advice}")
            for id, reason in self.impossible.items()
        ]
        stopping = [*self.problems, *([] if skip_impossible else impossible)]
        if stopping:
            raise UserError(stopping)


def preflight(
    planned: Sequence[PlannedConfiguration],
    ledger: Ledger,
    results: Path,
    slot: Slot,
    on_progress: StageProgress,
    *,
    found: Iterable[Problem] = (),
    free: int | None = None,
) -> Preflight:
    """Checks what these configurations' missing runs will need. Trains nothing; makes the results folder.

    slot: where a run will be executed. found: problems that were found elsewhere (weights, other machines), to be
    told together with these. free: bytes on the disk of `results`, None to ask it.

    Networks are not tried of configurations that have been in training already.
    """
    started = time.monotonic()
    problems = [*found, *check_folder(results)]
    # A ledger cannot be asked where its place is taken by a file.
    trying = untried(planned, ledger) if results.is_dir() else planned
    checks = check_networks(trying, slot.device, on_progress)
    by_id = {one.id: one for one in planned}
    impossible = {id: check.reason for id, check in checks.items() if check.memory is None}
    memory = {id: check.memory for id, check in checks.items() if check.memory is not None}
    warnings = [problem for id in memory for problem in _memory_warning(by_id[id], memory[id], slot)]
    if results.is_dir():
        possible = [one for one in planned if one.id not in impossible]
        need = disk_need(possible, memory, ledger, results / "cache", slot.at_once)
        stops, warns = disk_findings(need, shutil.disk_usage(results).free if free is None else free, results)
        problems += stops
        warnings += warns
    return Preflight(
        problems=tuple(problems),
        impossible=impossible,
        warnings=tuple(warnings),
        memory={id: each.peak for id, each in memory.items()},
        gflops={id: checks[id].gflops for id in memory},
        seconds=time.monotonic() - started,
        names={id: by_id[id].configuration.name for id in impossible},
    )


def untried(planned: Sequence[PlannedConfiguration], ledger: Ledger) -> list[PlannedConfiguration]:
    """Those that have runs to do and of which nothing shows yet that their network can be trained."""
    return [one for one in planned if _is_untried(one, ledger)]


def check_networks(
    planned: Sequence[PlannedConfiguration], device: str, on_progress: StageProgress
) -> dict[str, NetworkCheck]:
    """Configuration id -> what trying its network on `device` came to."""
    stage = f"Checking {len(planned)} network{'s' * (len(planned) != 1)}"
    checks = {}
    for done, one in enumerate(planned):
        on_progress(stage, done, len(planned))
        checks[one.id] = check_network(one.configuration.settings, len(one.source.dataset.classes), device)
    if planned:
        on_progress(stage, len(planned), len(planned))
    return checks


def _is_untried(one: PlannedConfiguration, ledger: Ledger) -> bool:
    records = ledger.records((one.id, fold) for fold in range(one.folds))
    if len(records) == one.folds or any(record.status == "complete" for record in records.values()):
        return False
    return not any((ledger.folder(one.id, fold) / "last.pt").exists() for fold in range(one.folds))


def _memory_warning(planned: PlannedConfiguration, memory: TrainingMemory, slot: Slot) -> list[Problem]:
    """That a run will not fit into its slot, and the remedy; nothing if it will."""
    if not slot.lacks(memory.peak):
        return []
    batch = planned.configuration.settings.training.batch_size
    lasting = memory.network + memory.optimizer
    fitting = int((slot.memory - WORKER_BYTES - lasting) / ((memory.peak - lasting) / batch))
    remedy = f"training.batch_size {fitting} would fit" if fitting > 0 else "not even a batch of one would fit"
    otherwise = "its batches will be split until they fit" if slot.device == "cuda" else "fewer resources.slots, too"
    message = (
        f"training needs about {_gibibytes(memory.peak + WORKER_BYTES)} with batches of {batch}, "
        f"and a run has {_gibibytes(slot.memory)} here: {remedy}; {otherwise}"
    )
    return [Problem(f"configuration {planned.configuration.name}", message)]


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
