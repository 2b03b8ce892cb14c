"""What workers read, made ready on the driver before the first run: cache, split files, weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.preparation.survey import PlannedConfiguration, Source, StageProgress, Survey
from experiments.sweep import Sweep
from models.weights import resolve_weights
from utils.errors import Problem, UserError
from utils.files import write_text_atomically
from utils.images.cache import build_cache, cache_key
from utils.splits.table import split_table


@dataclass(frozen=True)
class Provision:
    """The files that the runs of one configuration read."""

    cache: Path
    split_file: Path
    weights: Path | None


def write_audit(sources: Iterable[Source], path: Path) -> None:
    """Writes ``<sweep>_audit.csv``: the findings of every source, one after the other."""
    tables = [source.audit.to_csv().partition("\n") for source in sources]
    write_text_atomically(path, tables[0][0] + "\n" + "".join(body for _, _, body in tables))


def provide(survey: Survey, sweep: Sweep, results: Path, on_progress: StageProgress) -> dict[str, Provision]:
    """Configuration id -> what its runs need. Raises UserError with all weights that cannot be had."""
    return Provisioner(sweep.name, results).all(survey.planned, on_progress)


class Provisioner:
    """Makes what runs need; everything is made once, however many configurations share it."""

    def __init__(self, sweep: str, results: Path) -> None:
        self._results = results
        self._splits = results / "runs" / sweep / "splits"
        self._weights: dict[tuple[str, str], Path | None] = {}
        self._caches: dict[tuple[object, ...], Path] = {}

    def all(self, planned: Sequence[PlannedConfiguration], on_progress: StageProgress) -> dict[str, Provision]:
        """Configuration id -> what its runs need. Raises UserError with all weights that cannot be had."""
        if problems := self.weights_problems(planned):
            raise UserError(problems)
        return {one.id: self.of(one, on_progress) for one in planned}

    def weights_problems(self, planned: Sequence[PlannedConfiguration]) -> list[Problem]:
        """What is wrong with weights that these start from; fetches those that are not there."""
        problems: list[Problem] = []
        for key in dict.fromkeys(_weights_key(one) for one in planned):
            try:
                self._weights_of(key)
            except UserError as error:
                problems += error.problems
        return problems

    def of(
        self, planned: PlannedConfiguration, on_progress: StageProgress = lambda stage, done, total: None
    ) -> Provision:
        """What one configuration's runs need.

        Raises UserError for weights that cannot be had, and for data that have changed since they were opened.
        """
        dataset = planned.configuration.settings.dataset
        weights = self._weights_of(_weights_key(planned))
        parts = tuple((part.name, dict(part.options)) for part in dataset.preprocessing)
        key = (planned.source.data, repr(parts), dataset.height_width)
        if key not in self._caches:
            self._caches[key] = _cache(planned, self._results / "cache", on_progress)
        return Provision(self._caches[key], _split_file(planned, self._splits), weights)

    def _weights_of(self, key: tuple[str, str]) -> Path | None:
        if key not in self._weights:
            self._weights[key] = resolve_weights(*key)
        return self._weights[key]


def _weights_key(planned: PlannedConfiguration) -> tuple[str, str]:
    """The encoder, and what its weights are to be."""
    model = planned.configuration.settings.model
    return model.encoder.name, model.encoder_weights


def _cache(planned: PlannedConfiguration, folder: Path, on_progress: StageProgress) -> Path:
    source, dataset = planned.source, planned.configuration.settings.dataset
    stage = (
        f"Preparing {len(source.audit.usable)} images at {dataset.height_width[1]} x {dataset.height_width[0]} pixels"
    )
    parts = [(part.name, dict(part.options)) for part in dataset.preprocessing]
    cache = build_cache(
        source.dataset,
        source.audit.usable,
        parts,
        dataset.height_width,
        folder,
        workers=os.cpu_count() or 1,
        on_progress=_of_stage(stage, on_progress),
    )
    # The cache is named by what it was built from, read a second time: records are to tell the hash of that.
    if cache.name != cache_key(source.contents, parts, dataset.height_width, source.dataset.classes):
        message = f"{source.name} has changed while it was read; give the command again when it is at rest"
        raise UserError(Problem("dataset", message))
    return cache


def _split_file(planned: PlannedConfiguration, folder: Path) -> Path:
    """The file of a configuration's folds, written once.

    The folds' hash names it, which says nothing of the groups: where other data with the same case ids
    has left a file with other groups, the hash of the data is added. That file can only differ by damage.
    """
    table = split_table(planned.split, planned.source.audit.groups)
    path = folder / f"{planned.split.hash}.csv"
    if path.exists() and path.read_bytes() != table.encode():
        path = folder / f"{planned.split.hash}-{planned.source.data}.csv"
    if not path.exists() or path.read_bytes() != table.encode():
        write_text_atomically(path, table)
    return path


def _of_stage(stage: str, on_progress: StageProgress) -> Callable[[int, int], None]:
    return lambda done, total: on_progress(stage, done, total)
