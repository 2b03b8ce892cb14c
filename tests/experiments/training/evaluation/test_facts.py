"""Scores in millimetres and nucleus by nucleus, and the source in the table, where the data know them."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from experiments.training.batches import Batches, CaseDataset
from experiments.training.evaluation import Evaluation, cases_csv, evaluate
from models.network import Output
from utils.datasets.histology.nuclei import Nuclei
from utils.datasets.manifest import Manifest
from utils.datasets.miniatures import write_miniature
from utils.images.cache import ImageCache, build_cache
from utils.metrics import case_scores


class Darkness(nn.Module):
    """Draws the dark pixels."""

    def forward(self, images: Tensor) -> Output:
        return Output((0.5 - images.mean(dim=1, keepdim=True)) * 40, None)


def evaluated(dataset: object, folder: Path, *, native: bool) -> tuple[Evaluation, ImageCache]:
    cache = ImageCache(build_cache(dataset, dataset.cases(), [], (64, 80), folder))  # type: ignore[arg-type, attr-defined]
    batches = Batches(CaseDataset(cache, range(len(cache))), 8, torch.device("cpu"))
    return evaluate(Darkness(), batches, cache, native=native), cache  # type: ignore[arg-type]


def test_distances_are_in_millimetres_and_rows_tell_their_source(tmp_path: Path) -> None:
    root = write_miniature("manifest", tmp_path / "data", 3)
    result, cache = evaluated(Manifest(root), tmp_path / "cache", native=True)
    table = (root / "manifest.csv").read_text()
    (root / "manifest.csv").write_text(table.replace(",0.1 0.12", ","))
    plain, _ = evaluated(Manifest(root), tmp_path / "cache", native=True)
    distances = ([case.scores["hd95"] for case in one.cases] for one in (result, plain))
    known = [pair for pair in zip(*distances, strict=True) if not math.isnan(pair[0])]
    assert len(known) >= 4 and all(0.099 * pixels <= mm <= 0.121 * pixels for mm, pixels in known)
    rows = list(csv.DictReader(io.StringIO(cases_csv(result, cache, {case: case for case in cache.ids}))))
    assert list(rows[0])[:5] == ["case", "group", "label", "predicted", "source"]
    assert [row["source"] for row in rows] == list(cache.sources)
    assert "source" not in cases_csv(plain, _without_sources(cache), {case: case for case in cache.ids}).split("\n")[0]


def _without_sources(cache: ImageCache) -> ImageCache:
    other = ImageCache(cache.path)
    other.sources = (None,) * len(cache)
    return other


def test_nuclei_that_touch_are_counted_one_by_one(tmp_path: Path) -> None:
    dataset = Nuclei(write_miniature("nuclei", tmp_path / "data", 4))
    result, cache = evaluated(dataset, tmp_path / "cache", native=True)
    differing = 0
    for case in result.cases:
        instances, mask = cache.native_instances(case.position), cache.native_mask(case.position)
        image = cache.images[case.position].astype(np.float32).mean(axis=-1) / 255
        expected = case_scores(image < 0.5, mask, instances=instances)
        assert case.scores["aji"] == pytest.approx(expected["aji"], abs=0.02)
        differing += abs(expected["aji"] - case_scores(image < 0.5, mask)["aji"]) > 0.02
    assert differing > 0, "in no tile do two nuclei touch"


def test_at_the_networks_size_there_are_neither(tmp_path: Path) -> None:
    dataset = Nuclei(write_miniature("nuclei", tmp_path / "data", 4))
    result, cache = evaluated(dataset, tmp_path / "cache", native=False)
    assert all(case.scores["dice"] > 0.5 for case in result.cases) and cache.native_instances(0) is not None
