"""A small sweep with everything that figures are made of: runs, images, a network's answers, snapshots."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from experiments.accounting.balance import IDLE, Balance
from experiments.figures import Drawn, FigureData, draw_figures
from experiments.leaderboard import Entry, Leaderboard
from experiments.ledger import Ledger, Record
from experiments.ledger.record import CHECKPOINT, commit, seal
from experiments.training.evaluation.snapshots import SNAPSHOTS, Snapshots
from utils.datasets import Case
from utils.images.cache import ImageCache, build_cache

CLASSES = ("benign", "malignant", "normal")
NATIVE = (40, 48)
FOLDS, CASES = 3, 9
BALANCE = Balance(
    (2, 4),
    {"training": 8_000, "validation": 700, "data": 40, "start_up": 300, "writing": 600, IDLE: 1_300},
    saved=4_000,
)


@dataclass(frozen=True)
class Squares:
    """Grey images of one value each, with a bright square for a lesion; every third case has none."""

    classes: tuple[str, ...] = CLASSES
    lesion_classes: tuple[str, ...] = CLASSES[:2]

    def cases(self) -> list[Case]:
        names = (f"case {fold}-{number}" for fold in range(FOLDS) for number in range(CASES))
        return [Case(name, CLASSES[int(name[-1]) % 3]) for name in names]

    def read_image(self, case: Case) -> np.ndarray:
        return 60 + 120 * self.read_mask(case)

    def read_mask(self, case: Case) -> np.ndarray:
        mask = np.zeros(NATIVE, np.uint8)
        number = int(case.id[-1])
        if number % 3 != 2:
            mask[8 : 14 + 2 * number, 10 : 16 + 2 * number] = 1
        return mask

    def content(self, case: Case) -> str:
        return case.id


@dataclass(frozen=True)
class Bench:
    """A results folder that sweeps are written into."""

    folder: Path
    cache: ImageCache

    def sweep(
        self,
        skills: dict[str, float],
        names: dict[str, str] | None = None,
        *,
        folds: int = FOLDS,
        diagnosis: bool = True,
        failed: Sequence[str] = (),
        objective: str = "dice",
        trained: bool = True,
        balance: Balance | None = None,
    ) -> FigureData:
        """A sweep of configurations by their ids; names: id -> name, else the id. trained: with networks and images."""
        ledger = Ledger(self.folder, "tiny")
        records = {}
        for id, skill in skills.items():
            for fold in range(folds):
                records[id, fold] = _run(ledger.folder(id, fold), id, fold, skill, diagnosis, id in failed)
        entries = [Entry(id, (names or {}).get(id, id), {"i": id}, tuple(range(folds))) for id in skills]
        direction = "min" if objective == "ece" else "max"
        leaderboard = Leaderboard("tiny", entries, objective, direction, ledger.folder, resamples=50)
        leaderboard.update(records)
        if not trained:
            return FigureData(leaderboard, ledger.folder, balance=balance)
        return FigureData(leaderboard, ledger.folder, lambda id: self.cache, self.answers, balance)

    def answers(self, configuration: str, fold: int, positions: Sequence[int]) -> list[np.ndarray]:
        """The lesion one row too low: its first row is missed, and the row below it is made up."""
        return [np.roll(self.cache.native_mask(position), 1, axis=0).astype(np.float32) for position in positions]


def _run(folder: Path, configuration: str, fold: int, skill: float, diagnosis: bool, failed: bool) -> Record:
    folder.mkdir(parents=True, exist_ok=True)
    origin = {"code": "1", "data": "d", "split": "s", "seed": 1}
    if failed:
        record = Record(sweep="tiny", configuration=configuration, fold=fold, status="failed", error="no", **origin)
        commit(record, folder)
        return record
    rng = np.random.default_rng([fold, *configuration.encode()])
    labels = np.arange(CASES) % 3
    scores = [f"{min(1, skill + rng.normal(0, 0.05)):.6f}" if label != 2 else "" for label in labels]
    probabilities = np.round(0.4 * np.eye(3)[labels] * skill + rng.dirichlet(np.ones(3), CASES) * 0.6, 6)
    heads = [f"probability_{name}" for name in CLASSES] if diagnosis else []
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "group", "label", "predicted", *heads, "dice"])
        for number, label in enumerate(labels):
            given = [str(value) for value in probabilities[number]] if diagnosis else []
            name = f"case {fold}-{number}"
            writer.writerow([name, name, CLASSES[label], "", *given, scores[number]])
    lines = ["epoch,lr,train_loss,validation_dice,seconds"]
    lines += [f"{epoch},0.1,{1 / epoch + rng.random() / 9:.4f},{skill * epoch / 4:.4f},1" for epoch in (1, 2, 3)]
    (folder / "epochs.csv").write_text("\n".join(lines) + "\n")
    (folder / CHECKPOINT).write_bytes(b"weights")
    shown = np.stack([np.full((16, 16), value) for value in (0.2, 0.9)])
    snapshots = Snapshots.of(("case 0-0", "case 0-1"), (16, 16))
    snapshots.after(1, shown).after(2, 1 - shown).write(folder / SNAPSHOTS)
    record = Record(
        sweep="tiny",
        configuration=configuration,
        fold=fold,
        status="complete",
        metrics={"dice": float(np.mean([float(score) for score in scores if score])), "ece": 0.1, "auroc": skill},
        best_epoch=2,
        epochs=3,
        params_millions=5 + 30 * skill,
        gflops=1 + skill,
        train_seconds=10.0 / skill,
        files={name: seal(folder / name) for name in ("epochs.csv", "cases.csv")},
        **origin,
    )
    commit(record, folder)
    return record


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    dataset = Squares()
    return ImageCache(build_cache(dataset, dataset.cases(), [], (32, 32), tmp_path_factory.mktemp("images")))


@pytest.fixture
def bench(tmp_path: Path, cache: ImageCache) -> Bench:
    return Bench(tmp_path / "results", cache)


SKILLS = {"a1": 0.82, "b2": 0.81, "c3": 0.6, "d4": 0.5}
NAMES = {"a1": "resnet18 <&> $x_1$", "b2": "efficientnet-b0", "c3": "mit_b0", "d4": "vgg11_bn"}


@dataclass(frozen=True)
class Gallery:
    """All figures of a sweep of four configurations, and what they were drawn from."""

    data: FigureData
    folder: Path
    drawn: Drawn


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory, cache: ImageCache) -> Gallery:
    results = tmp_path_factory.mktemp("results")
    data = Bench(results, cache).sweep(SKILLS, NAMES, balance=BALANCE)
    return Gallery(data, results / "figures", draw_figures(data, results / "figures"))
