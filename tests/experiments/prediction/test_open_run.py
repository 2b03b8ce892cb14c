"""A finished run's network, opened again: it answers what its record was made of, or says why it cannot."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.ledger.record import commit, read, seal
from experiments.prediction import CasePrediction, open_run
from utils.errors import UserError
from utils.images.cache import ImageCache
from utils.metrics import case_scores


def predictions(spec: Any, positions: Any) -> list[CasePrediction]:
    record = read(spec.folder)
    assert record is not None
    return list(open_run(spec.folder, ImageCache(spec.cache), record).predict(positions))


def test_the_predictions_are_those_that_were_scored(finished: Any) -> None:
    cache = ImageCache(finished.cache)
    with (finished.folder / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = predictions(finished, [cache.index(row["case"]) for row in rows])
    for row, prediction in zip(rows, found, strict=True):
        assert cache.ids[prediction.position] == row["case"]
        assert prediction.probability.shape == cache.native_size(prediction.position)
        assert prediction.probability.dtype == np.float32
        scores = case_scores(prediction.probability > 0.5, cache.native_mask(prediction.position).astype(bool))
        assert row["dice"] == ("" if np.isnan(scores["dice"]) else f"{scores['dice']:.9g}")
        expected = [float(row[f"probability_{name}"]) for name in cache.classes]
        assert prediction.classes == pytest.approx(expected, abs=1e-6)


def test_cases_come_in_the_order_asked_for_and_numbers_are_drawn_from_nobody(finished: Any) -> None:
    before = torch.get_rng_state()
    found = predictions(finished, [7, 2, 19, 2])
    assert [prediction.position for prediction in found] == [7, 2, 19, 2]
    assert np.array_equal(found[1].probability, found[3].probability)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("damage", ["missing", "changed", "truncated", "of another network"])
def test_a_checkpoint_that_is_not_the_sealed_one_is_refused(bench: Any, finished_copy: Any, damage: str) -> None:
    path = finished_copy.folder / "best.pt"
    record, content = read(finished_copy.folder), path.read_bytes()
    assert record is not None
    if damage == "missing":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    elif damage == "truncated":
        path.write_bytes(content[:100])
    else:
        other = torch.load(path, weights_only=True)
        other["network"].pop(next(iter(other["network"])))
        torch.save(other, path)
        record = record.model_copy(update={"files": {**record.files, "best.pt": seal(path)}})
        commit(record, finished_copy.folder)
    with pytest.raises(UserError, match=r"start the sweep again") as raised:
        open_run(finished_copy.folder, bench.cache, record)
    assert "best.pt" in str(raised.value)


def test_a_failed_run_has_no_network(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, weights=tmp_path / "missing.pt")
    bench.execute(spec)
    record = read(tmp_path)
    assert record is not None
    with pytest.raises(UserError, match="the run has failed"):
        open_run(tmp_path, bench.cache, record)
