"""A finished first stage whose networks can be told apart by what they draw; nothing is trained."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from experiments.ledger import Ledger
from experiments.ledger.outcome import write_outcome
from experiments.ledger.record import Record, commit, seal
from experiments.opened import open_sweep
from experiments.preparation import PlannedConfiguration, open_sources, survey
from experiments.sweep import Settings, Sweep, load_sweep, nested
from experiments.sweep.file.winners import Winner, Winners
from experiments.training import TRAINING_VERSION, checkpoint
from experiments.training.network import build_network
from utils.splits.table import split_table

FIRST = """\
name: first
dataset: {name: phantom, image_size: 32, options: {cases: 24, height: 64, width: 80}}
folds: {k: 2}
model: {encoder: tu-test_resnet, encoder_weights: none, decoder: {unet: {channels: [16, 16, 16, 16, 16]}},
        classification_head: false}
"""
SECOND = """\
name: second
dataset: {name: crops, root: "${predictions:first}"}
folds: {from: "${folds:first}", group: patient}
"""


@dataclass(frozen=True)
class FirstStage:
    """The sweep ``first`` in a results folder. draws_all: the fold whose network calls every pixel a lesion; the
    other's network calls none."""

    results: Path
    sweep: Sweep
    planned: PlannedConfiguration
    draws_all: int

    @property
    def winner(self) -> Winner:
        """Looked up anew."""
        winner = Winners(self.results, self.results.parent).of("first")
        assert winner is not None
        return winner

    def load_second(self, text: str = SECOND) -> Sweep:
        """The sweep that is built upon it."""
        file = self.results.parent / "second.yaml"
        file.write_text(text, encoding="utf-8")
        return load_sweep(file, results=self.results)


@pytest.fixture
def first_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FirstStage]:
    """Makes the first stage; text: of its sweep file. Folds in `without` have no record."""
    monkeypatch.chdir(tmp_path)

    def make(text: str = FIRST, draws_all: int = 0, without: tuple[int, ...] = ()) -> FirstStage:
        file = tmp_path / "first.yaml"
        file.write_text(text, encoding="utf-8")
        sweep = load_sweep(file)
        results = tmp_path / "results"
        found = survey(sweep, open_sources(sweep, lambda stage, done, total: None))
        [planned] = found.planned
        ledger = Ledger(results, "first")
        splits = ledger.root / "splits"
        splits.mkdir(parents=True, exist_ok=True)
        table = split_table(planned.split, planned.source.audit.groups)
        (splits / f"{planned.split.hash}.csv").write_text(table, encoding="utf-8")
        for fold in range(planned.folds):
            if fold not in without:
                _write_run(planned, fold, 10.0 if fold == draws_all else -10.0, ledger.folder(planned.id, fold))
        opened = open_sweep(sweep, results, lambda stage, done, total: None)
        opened.leaderboard.write(results)
        write_outcome(ledger.root, complete=True, configurations=1, runs=planned.folds, failed=0)
        return FirstStage(results, sweep, planned, draws_all)

    return make


def _write_run(planned: PlannedConfiguration, fold: int, bias: float, folder: Path) -> None:
    """A run whose network answers every pixel with the same logit."""
    settings: Settings = planned.configuration.settings
    network = build_network(settings.model, len(planned.source.dataset.classes))
    state = network.state_dict()
    *_, weight, last = (name for name in state if name.startswith("segmentation_head."))
    state[weight], state[last] = torch.zeros_like(state[weight]), torch.full_like(state[last], bias)
    folder.mkdir(parents=True)
    checkpoint.save(folder / "best.pt", {"network": state})
    groups, cases = planned.source.audit.groups, {case.id: case for case in planned.source.audit.usable}
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "group", "label", "predicted", "dice"])
        for id in planned.split.folds[fold].test:
            dice = "" if cases[id].label == "normal" else "0.25"
            writer.writerow([id, groups[id], cases[id].label, "", dice])
    (folder / "epochs.csv").write_text("epoch,lr,train_loss,validation_dice,seconds\n1,0.1,1,0.25,1\n")
    record = Record(
        sweep="first",
        configuration=planned.id,
        fold=fold,
        status="complete",
        metrics={"dice": 0.25},
        params_millions=1.0,
        code=TRAINING_VERSION,
        data=planned.source.data,
        split=planned.split.hash,
        seed=7,
        settings=nested(settings),
        files={name: seal(folder / name) for name in ("best.pt", "cases.csv", "epochs.csv")},
    )
    commit(record, folder)
