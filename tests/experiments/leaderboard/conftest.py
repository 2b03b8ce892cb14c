"""Real records in a real ledger, with scores drawn from a known distribution."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.ledger.record import Record, commit, seal
from utils.metrics import METRICS, fold_scores, mean_over_cases, metric_names

CLASSES = ("benign", "malignant", "normal")


def write_run(
    results: Path,
    configuration: str,
    fold: int,
    *,
    skill: float = 0.8,
    cases: int = 30,
    noise: float = 0.05,
    params: float = 10.0,
    failed: str = "",
    diagnosis: bool = True,
    split: str = "5a5a5a5a5a5a",
    seconds: float = 12.5,
) -> Record:
    """One finished run of a sweep called ``demo``; two configurations with one skill still differ by noise."""
    folder = results / "runs" / "demo" / configuration / f"fold-{fold}"
    folder.mkdir(parents=True, exist_ok=True)
    origin = {"code": "1.0.0", "data": "0d0d0d0d0d0d", "split": split, "seed": 7}
    if failed:
        record = Record(sweep="demo", configuration=configuration, fold=fold, status="failed", error=failed, **origin)
        commit(record, folder)
        return record
    # The difficulty of a case belongs to the case, whoever is tested on it.
    hard = np.random.default_rng(fold).normal(0, 0.1, cases)
    rng = np.random.default_rng([fold, *configuration.encode()])
    labels = np.arange(cases) % 3
    probabilities = np.round(rng.dirichlet(np.ones(3), cases) * 0.5 + np.eye(3)[labels] * 0.5 * skill, 6)
    table = []
    for case in range(cases):
        score = float(np.clip(skill + hard[case] + rng.normal(0, noise), 0, 1))
        lesion = labels[case] != 2
        scores = {name: score if lesion else float("nan") for name in metric_names("case")}
        scores |= {"pixel_accuracy": 1.0, "specificity": 1.0, "false_positive_rate": float("nan") if lesion else 0.25}
        table.append(scores)
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        heads = [f"probability_{name}" for name in CLASSES] if diagnosis else []
        writer.writerow(["case", "group", "label", "predicted", *heads, *metric_names("case")])
        for case, scores in enumerate(table):
            name = CLASSES[labels[case]]
            given = [repr(float(value)) for value in probabilities[case]] if diagnosis else []
            writer.writerow(
                [
                    f"{name}/{name} ({fold}-{case})",
                    f"g{fold}-{case // 2}",
                    name,
                    CLASSES[int(probabilities[case].argmax())] if diagnosis else "",
                    *given,
                    *("" if np.isnan(value) else repr(value) for value in scores.values()),
                ]
            )
    (folder / "epochs.csv").write_text(
        "epoch,lr,train_loss,seconds\n" + "".join(f"{epoch},0.001,{1 / (epoch + 1):.6g},1\n" for epoch in range(3))
    )
    metrics = {name: mean_over_cases(scores[name] for scores in table) for name in metric_names("case")}
    if diagnosis:
        metrics |= fold_scores(labels, probabilities, CLASSES)
    record = Record(
        sweep="demo",
        configuration=configuration,
        fold=fold,
        status="complete",
        metrics={name: None if np.isnan(metrics[name]) else metrics[name] for name in METRICS if name in metrics},
        best_epoch=2,
        epochs=3,
        params_millions=params,
        gflops=2.0,
        train_seconds=seconds,
        inference_ms=1.5,
        peak_memory_mb=100.0 + fold,
        adjustments=("micro-batch 8",) if fold == 1 else (),
        settings={"folds": {"k": 3, "validation": 0.15}},
        files={name: seal(folder / name) for name in ("epochs.csv", "cases.csv")},
        **origin,
    )
    commit(record, folder)
    return record


@pytest.fixture
def finish(tmp_path: Path) -> Callable[..., Record]:
    """`write_run` into ``tmp_path / "results"``."""

    def run(configuration: str, fold: int, **wanted: object) -> Record:
        return write_run(tmp_path / "results", configuration, fold, **wanted)  # type: ignore[arg-type]

    return run
