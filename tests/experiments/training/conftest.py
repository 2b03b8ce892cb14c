"""A tiny cache of phantoms, one fold of it, and runs small enough to be repeated in every way."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.sweep import Settings, nested
from experiments.training.execution import Execution, Progress
from experiments.training.run import TrainingRun
from experiments.training.spec import RunSpec
from utils.datasets.phantom import Phantom
from utils.identity import digest
from utils.images.cache import ImageCache, build_cache
from utils.splits.folds import Fold, Split
from utils.splits.table import split_table

SMALL = {
    "dataset": {"name": "phantom", "image_size": 32},
    "model": {"encoder": "tu-test_resnet", "encoder_weights": "none", "decoder": {"unet": {"channels": [16] * 5}}},
    "training": {"epochs": 4, "batch_size": 4, "lr": 0.003, "augmentation": ["flip", "brightness_contrast"]},
}
WALL_CLOCK = {"started", "finished", "spent", "train_seconds", "inference_ms", "peak_memory_mb"}


@dataclass(frozen=True)
class Bench:
    """Data for runs, and what tests do with them again and again."""

    dataset: Phantom
    cache: ImageCache
    fold: Fold
    groups: Mapping[str, str]
    split_file: Path

    def spec(self, folder: Path, changes: Mapping[str, Any] | None = None, **fields: Any) -> RunSpec:
        """A run in `folder`; changes: dotted key -> value, beside `SMALL`. fields: of the spec itself."""
        tree = json.loads(json.dumps(SMALL))
        for key, value in (changes or {}).items():
            section, _, name = key.partition(".")
            tree.setdefault(section, {})[name] = value
        settings = nested(Settings.model_validate(tree))
        folder.mkdir(parents=True, exist_ok=True)
        spec = RunSpec(
            sweep="tiny",
            configuration=digest(settings),
            name="tiny",
            fold=0,
            settings=settings,
            folder=folder,
            cache=self.cache.path,
            split_file=self.split_file,
            weights=None,
            data="d" * 12,
            split="e" * 12,
            code="1.0.0",
        )
        return replace(spec, **fields)

    def open(self, spec: RunSpec, fold: Fold | None = None) -> TrainingRun:
        """The run as a worker opens it."""
        return TrainingRun(spec, self.cache, fold or self.fold, self.groups)

    def train(self, spec: RunSpec, fold: Fold | None = None) -> TrainingRun:
        """The run after its last epoch, not yet evaluated."""
        run = self.open(spec, fold)
        while not run.done:
            run.step()
        return run

    @staticmethod
    def execute(spec: RunSpec) -> Progress:
        """One attempt at the run, to its record."""
        execution = Execution(spec)
        while not (progress := execution.step()).ended:
            pass
        return progress

    @staticmethod
    def record(spec: RunSpec) -> dict[str, Any]:
        """The record without what a clock or a memory meter had a hand in."""
        record = json.loads((spec.folder / "record.json").read_text())
        record["files"].pop("epochs.csv", None)  # it holds seconds
        return {key: value for key, value in record.items() if key not in WALL_CLOCK | {"checksum"}}

    @staticmethod
    def epochs(spec: RunSpec) -> list[dict[str, str]]:
        """The rows of ``epochs.csv`` without their seconds."""
        with (spec.folder / "epochs.csv").open() as file:
            return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]

    def split_of(self, folder: Path, fold: Fold) -> Path:
        """A split file of another fold."""
        path = folder / "split.csv"
        path.write_text(split_table(Split((fold,)), self.groups))
        return path


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """24 phantoms (13 benign, 7 malignant, 4 normal): 13 train, 5 validate, 6 test; every class in every part."""
    folder = tmp_path_factory.mktemp("bench")
    dataset = Phantom(cases=24, height=64, width=80)
    cases = dataset.cases()
    cache = ImageCache(build_cache(dataset, cases, [("median", {})], (32, 32), folder))
    of = {label: [case.id for case in cases if case.label == label] for label in dataset.classes}
    test = of["benign"][:3] + of["malignant"][:2] + of["normal"][:1]
    validation = of["benign"][3:6] + of["malignant"][2:3] + of["normal"][1:2]
    train = [case.id for case in cases if case.id not in {*test, *validation}]
    fold = Fold(0, *(tuple(sorted(part)) for part in (train, validation, test)))
    groups = {case.id: case.attributes.get("copy_of", case.id) for case in cases}
    split_file = folder / "split.csv"
    split_file.write_text(split_table(Split((fold,)), groups))
    return Bench(dataset, cache, fold, groups, split_file)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Gives back the number of threads that a run takes for itself."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def finished(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """A run with its record. Shared: tests that change files work on a copy."""
    spec = bench.spec(tmp_path_factory.mktemp("finished"), {"training.epochs": 2})
    bench.execute(spec)
    return spec


@pytest.fixture
def finished_copy(finished: RunSpec, tmp_path: Path) -> RunSpec:
    """A copy of `finished` that may be damaged."""
    return replace(finished, folder=Path(shutil.copytree(finished.folder, tmp_path / "copy")))
