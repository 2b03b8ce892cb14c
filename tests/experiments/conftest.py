"""For tests of what is built upon finished sweeps: a results folder that is filled by hand."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.ledger import Ledger
from experiments.ledger.record import Record, commit, seal
from experiments.preparation import PlannedConfiguration, open_sources, survey
from experiments.sweep import Settings, Sweep, load_sweep, nested
from experiments.training import TRAINING_VERSION
from utils.metrics import fold_scores, mean_over_cases, metric_names

SCORES = {"dice_mean": 0.5, "dice_ci_low": 0.4, "dice_ci_high": 0.6}
COLUMNS = ("rank", "configuration", "status", "folds", *SCORES, "tied_with_best", "params_millions")


class Results:
    """A results folder with sweeps as their files: a leaderboard and the records of its rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, sweep: str, *rows: dict[str, Any]) -> None:
        """A sweep by its rows, best first.

        A row may say: encoder, params, tied, rank, status, further settings of model and training, or the record's
        settings as a whole.
        """
        table = []
        for number, row in enumerate(rows, 1):
            id = f"{number:012x}"
            status = row.get("status", "complete")
            rank = row.get("rank", number if status == "complete" else "")
            tied = "" if rank == "" else "true" if row.get("tied", number == 1) else "false"
            table.append((rank, id, status, 1, *SCORES.values(), tied, row.get("params", "")))
            if status == "complete":
                model = {"encoder": row.get("encoder", "resnet18"), **row.get("model", {})}
                settings = Settings.model_validate({"model": model, "training": row.get("training", {})})
                record = Record(
                    sweep=sweep,
                    configuration=id,
                    fold=0,
                    status="complete",
                    code="1",
                    data="d",
                    split="s",
                    seed=1,
                    settings=row.get("settings", nested(settings)),
                )
                commit(record, self.record(sweep, number).parent)
        self.folder.mkdir(exist_ok=True)
        with (self.folder / f"{sweep}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])

    def record(self, sweep: str, number: int) -> Path:
        """The record of the row with this number, counted from 1."""
        return self.folder / "runs" / sweep / f"{number:012x}" / "fold-0" / "record.json"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """An empty ``results`` in the folder that the test then runs in."""
    monkeypatch.chdir(tmp_path)
    return Results(Path("results"))


PHANTOMS = """\
name: {name}
question: "{question}"
dataset: {{name: phantom, image_size: 32, options: {{cases: 30, height: 64, width: 64}}}}
folds: {{k: 2}}
model: {{encoder_weights: none}}
training: {{epochs: 3}}
search: {{cases: {cases}}}
"""


@pytest.fixture
def finished_sweep(tmp_path: Path) -> Callable[..., Sweep]:
    """Writes a sweep of named cases and, into ``tmp_path / "results"``, records as its runs would have left them.

    skills: name -> about what Dice it reaches; None for runs that failed.
    Two folds of thirty phantoms; `runs` is how many of all runs have ended.
    """

    def make(
        skills: dict[str, float | None], question: str = "Which one?", name: str = "made", runs: int = 99
    ) -> Sweep:
        cases = json.dumps([{"name": text, "training.seed": seed} for seed, text in enumerate(skills, 1)])
        file = tmp_path / f"{name}.yaml"
        file.write_text(PHANTOMS.format(name=name, question=question, cases=cases), encoding="utf-8")
        sweep = load_sweep(file)
        found = survey(sweep, open_sources(sweep, lambda stage, done, total: None))
        ledger = Ledger(tmp_path / "results", name)
        wanted = [(one, fold) for fold in range(2) for one in found.planned][:runs]
        for one, fold in [(one, fold) for one, fold in wanted if ledger.get(one.id, fold) is None]:
            skill = skills[one.configuration.name]
            commit(_made_record(one, fold, skill, name, ledger.folder(one.id, fold)), ledger.folder(one.id, fold))
        return sweep

    return make


def _made_record(planned: PlannedConfiguration, fold: int, skill: float | None, sweep: str, folder: Path) -> Record:
    common: dict[str, Any] = {
        **{"sweep": sweep, "configuration": planned.id, "fold": fold, "code": TRAINING_VERSION, "seed": 7},
        **{
            "data": planned.source.data,
            "split": planned.split.hash,
            "device": "cpu: made",
            "versions": {"torch": "2.6"},
        },
        **{"settings": nested(planned.configuration.settings), "finished": "2026-01-02T03:04:05.678+00:00"},
    }
    if skill is None:
        return Record(status="failed", error="RuntimeError: made to fail", **common)
    classes = planned.source.dataset.classes
    labels = {case.id: case.label for case in planned.source.audit.usable}
    rng = np.random.default_rng([fold, *planned.id.encode()])
    rows, codes, given = [], [], []
    for case in planned.split.folds[fold].test:
        lesion = labels[case] in planned.source.dataset.lesion_classes
        score = float(np.clip(rng.normal(skill, 0.05), 0, 1))
        scores = dict.fromkeys(metric_names("case"), score if lesion else math.nan)
        scores["false_positive_rate"] = math.nan if lesion else 0.1
        codes.append(classes.index(labels[case]))
        given.append(np.round(rng.dirichlet(np.ones(len(classes))) * 0.5 + np.eye(len(classes))[codes[-1]] * 0.5, 6))
        rows.append({"case": case, "group": planned.source.audit.groups[case], "label": labels[case], "scores": scores})
    heads = ["case", "group", "label", "predicted", *(f"probability_{label}" for label in classes)]
    folder.mkdir(parents=True)
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*heads, *metric_names("case")])
        for row, probabilities in zip(rows, given, strict=True):
            predicted = classes[int(np.argmax(probabilities))]
            cells = ["" if math.isnan(value) else repr(value) for value in row["scores"].values()]
            writer.writerow(
                [row["case"], row["group"], row["label"], predicted, *map(repr, map(float, probabilities)), *cells]
            )
    epochs = "".join(f"{epoch},0.001,{1 / epoch:.6g},{skill * epoch / 3:.6g},1\n" for epoch in (1, 2, 3))
    (folder / "epochs.csv").write_text(f"epoch,lr,train_loss,validation_dice,seconds\n{epochs}", encoding="utf-8")
    metrics = {metric: mean_over_cases(row["scores"][metric] for row in rows) for metric in metric_names("case")}
    metrics |= fold_scores(np.array(codes), np.array(given), classes)
    return Record(
        status="complete",
        metrics={metric: None if math.isnan(value) else value for metric, value in metrics.items()},
        **{"best_epoch": 3, "epochs": 3, "params_millions": 10.0 + planned.configuration.settings.training.seed},
        **{"gflops": 2.0, "train_seconds": 12.5, "inference_ms": 1.5, "peak_memory_mb": 100.0},
        files={name: seal(folder / name) for name in ("epochs.csv", "cases.csv")},
        **common,
    )
