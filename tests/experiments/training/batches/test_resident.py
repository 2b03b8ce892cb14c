"""Pixels that lie on the device are those that are loaded, whatever the order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from experiments.training.batches import Batches, CaseDataset, Resident
from utils.datasets.case import Case
from utils.datasets.phantom import Phantom
from utils.images.augmentation import Augmentation
from utils.images.cache import ImageCache, build_cache

CPU = torch.device("cpu")


class ColouredPhantom(Phantom):
    """Phantoms with a different picture in every channel."""

    def read_image(self, case: Case) -> np.ndarray:
        grey = super().read_image(case)
        return np.stack([grey, grey // 2, 255 - grey], axis=-1)


@pytest.fixture(scope="module")
def caches(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ImageCache]:
    coloured = ColouredPhantom(cases=9, height=64, width=80)
    path = build_cache(coloured, coloured.cases(), [], (32, 48), tmp_path_factory.mktemp("coloured"))
    return {"grey": bench.cache, "rgb": ImageCache(path)}


@pytest.mark.parametrize("kind", [{}, {"shuffle": True}, {"shuffle": True, "balanced": True}], ids=str)
@pytest.mark.parametrize("colours", ["grey", "rgb"])
def test_batches_are_those_that_are_loaded(caches: dict[str, ImageCache], colours: str, kind: dict[str, bool]) -> None:
    cache, positions = caches[colours], [5, 0, 8, 3, 2, 7, 1]
    loaded = Batches(CaseDataset(cache, positions, None, 11), 3, CPU, **kind)
    resident = Batches(CaseDataset(cache, positions, None, 11), 3, CPU, **kind, resident=Resident(cache, CPU))
    assert len(loaded) == len(resident)
    for epoch in (1, 2):
        for one, other in zip(loaded.epoch(epoch), resident.epoch(epoch), strict=True):
            for ours, theirs in zip(one, other, strict=True):
                assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
            # The network sees the same memory layout, and so gives the same answer to the bit.
            assert one.images.stride() == other.images.stride()


def test_a_cache_larger_than_a_piece_is_copied_whole(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.training.batches.resident._AT_ONCE", 7)
    pixels = Resident(bench.cache, CPU).pixels(range(24))
    assert np.array_equal(pixels.images[:, 0].numpy(), bench.cache.images)
    assert np.array_equal(pixels.masks[:, 0].numpy(), bench.cache.masks)
    assert np.array_equal(pixels.labels.numpy(), bench.cache.labels)


def test_the_cpu_keeps_no_second_copy(bench: Any) -> None:
    assert Resident.where_it_fits(bench.cache, CPU) is None


def test_cases_that_the_host_augments_are_not_resident(bench: Any) -> None:
    dataset = CaseDataset(bench.cache, range(4), Augmentation([("flip", {})]), 1)
    with pytest.raises(ValueError, match="resident"):
        Batches(dataset, 2, CPU, resident=Resident(bench.cache, CPU))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_holds_the_cache_and_gathers_without_waiting(bench: Any) -> None:
    cuda = torch.device("cuda")
    resident = Resident.where_it_fits(bench.cache, cuda)
    assert resident is not None
    batches = Batches(CaseDataset(bench.cache, range(24), None, 1), 5, cuda, shuffle=True, resident=resident)
    list(batches.epoch(1))
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = list(batches.epoch(2))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    loaded = Batches(CaseDataset(bench.cache, range(24), None, 1), 5, CPU, shuffle=True)
    for ours, theirs in zip(found, loaded.epoch(2), strict=True):
        assert all(torch.equal(one.cpu(), other) for one, other in zip(ours, theirs, strict=True))
