"""Batches are what a plain loop over the cache gives, in an order that only the seed and the epoch determine."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.training.batches import Batch, Batches, CaseDataset, balanced_draws
from utils.datasets.case import Case
from utils.datasets.phantom import Phantom
from utils.identity import derive_seed
from utils.images.augmentation import Augmentation
from utils.images.cache import ImageCache, build_cache

CPU = torch.device("cpu")
AUGMENTATION = Augmentation([("flip", {}), ("rotate", {}), ("noise", {})])


class ColouredPhantom(Phantom):
    """Phantoms with a different picture in every channel."""

    def read_image(self, case: Case) -> np.ndarray:
        grey = super().read_image(case)
        return np.stack([grey, grey // 2, 255 - grey], axis=-1)

    def content(self, case: Case) -> str:
        return "coloured " + super().content(case)


@pytest.fixture(scope="module")
def caches(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ImageCache]:
    coloured = ColouredPhantom(cases=9, height=64, width=80)
    path = build_cache(coloured, coloured.cases(), [], (32, 48), tmp_path_factory.mktemp("coloured"))
    return {"grey": bench.cache, "rgb": ImageCache(path)}


def cases(batches: Batches, epoch: int) -> list[int]:
    return [case for batch in batches.epoch(epoch) for case in batch.cases.tolist()]


@pytest.mark.parametrize("augmentation", [None, AUGMENTATION], ids=["plain", "augmented"])
@pytest.mark.parametrize("colours", ["grey", "rgb"])
def test_the_samples_of_a_plain_loop(
    caches: dict[str, ImageCache], colours: str, augmentation: Augmentation | None
) -> None:
    cache, positions, epoch, seed = caches[colours], [5, 0, 8, 3, 2, 7], 3, 11
    batches = Batches(CaseDataset(cache, positions, augmentation, seed), 4, CPU, shuffle=True)
    found = list(batches.epoch(epoch))
    order = np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(len(positions))
    assert [len(batch.labels) for batch in found] == [4, 2]
    joined = Batch(*(torch.cat(parts) for parts in zip(*found, strict=True)))
    for row, item in enumerate(order):
        position = positions[item]
        image, mask = np.array(cache.images[position]), np.array(cache.masks[position])
        if augmentation is not None:
            image, mask = augmentation(image, mask, derive_seed(seed, "augmentation", epoch, cache.ids[position]))
        channels = [image] if colours == "grey" else [image[..., channel] for channel in range(3)]
        for channel, pixels in enumerate(channels):
            assert np.array_equal(joined.images[row, channel].numpy(), pixels.astype(np.float32) / np.float32(255))
        assert np.array_equal(joined.masks[row, 0].numpy(), mask)
        assert joined.labels[row] == cache.labels[position] and joined.cases[row] == position
    assert joined.images.shape[1] == len(channels)
    assert joined.images.dtype == joined.masks.dtype == torch.float32
    assert joined.labels.dtype == joined.cases.dtype == torch.int64


def test_the_order_is_that_of_seed_and_epoch(bench: Any) -> None:
    def drawn(seed: int, epoch: int) -> list[int]:
        return cases(Batches(CaseDataset(bench.cache, range(24), None, seed), 5, CPU, shuffle=True), epoch)

    assert drawn(1, 1) == drawn(1, 1) != sorted(drawn(1, 1))
    assert drawn(1, 1) != drawn(1, 2) and drawn(1, 1) != drawn(2, 1)
    assert sorted(drawn(1, 1)) == sorted(drawn(2, 7)) == list(range(24))


def test_an_epoch_does_not_depend_on_the_epochs_before_it(bench: Any) -> None:
    def batches() -> Batches:
        return Batches(CaseDataset(bench.cache, range(10), AUGMENTATION, 3), 4, CPU, shuffle=True)

    used = batches()
    for epoch in (1, 2):
        list(used.epoch(epoch))
    for ours, theirs in zip(used.epoch(3), batches().epoch(3), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_without_shuffling_the_order_is_the_given_one_in_every_epoch(bench: Any) -> None:
    batches = Batches(CaseDataset(bench.cache, [7, 3, 5, 1, 9]), 2, CPU)
    assert cases(batches, 0) == cases(batches, 6) == [7, 3, 5, 1, 9]
    assert len(batches) == 3


def test_no_global_random_numbers_are_drawn(bench: Any) -> None:
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    for shuffle, balanced in ((True, False), (False, False), (True, True)):
        list(Batches(CaseDataset(bench.cache, range(9), AUGMENTATION, 1), 4, CPU, shuffle, balanced).epoch(2))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


@pytest.mark.parametrize(
    ("count", "batch_size", "shuffle", "sizes"),
    [
        (9, 4, True, [4, 4]),  # a last batch of one cannot train batch normalisation
        (9, 4, False, [4, 4, 1]),
        (10, 4, True, [4, 4, 2]),
        (8, 4, True, [4, 4]),
        (1, 4, True, [1]),  # nothing would be left
        (3, 1, True, [1, 1, 1]),
        (3, 8, True, [3]),
    ],
)
def test_sizes_of_batches(bench: Any, count: int, batch_size: int, shuffle: bool, sizes: list[int]) -> None:
    batches = Batches(CaseDataset(bench.cache, range(count), None, 1), batch_size, CPU, shuffle)
    assert [len(batch.labels) for batch in batches.epoch(1)] == sizes
    assert len(batches) == len(sizes)


def test_over_epochs_no_case_is_left_out_for_good(bench: Any) -> None:
    batches = Batches(CaseDataset(bench.cache, range(9), None, 1), 4, CPU, shuffle=True)
    seen = [set(cases(batches, epoch)) for epoch in range(1, 7)]
    assert all(len(drawn) == 8 for drawn in seen)
    assert set.union(*seen) == set(range(9))


def test_the_cache_is_not_written_to(bench: Any) -> None:
    before = Path(bench.cache.path / "images.npy").read_bytes()
    batch = next(Batches(CaseDataset(bench.cache, range(4)), 4, CPU).epoch())
    batch.images.zero_()
    assert Path(bench.cache.path / "images.npy").read_bytes() == before


some_labels = st.lists(st.integers(0, 4), min_size=1, max_size=60)


@given(labels=some_labels, seed=st.integers(0, 2**63 - 1))
def test_balanced_draws_are_cases_numbered_by_repetition(labels: list[int], seed: int) -> None:
    draws = balanced_draws(labels, seed)
    assert len(draws) == len(set(draws)) == len(labels)
    for case in range(len(labels)):
        repetitions = [repetition for drawn, repetition in draws if drawn == case]
        assert repetitions == list(range(len(repetitions)))
    assert all(0 <= case < len(labels) for case, _ in draws)
    assert balanced_draws(labels, seed) == draws


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=4), seed=st.integers(0, 2**63 - 1))
def test_balanced_draws_show_every_class_and_every_case_of_it_equally_often(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)) * 3, counts).tolist()
    epochs = 3000 // len(labels) + 1
    drawn = [case for epoch in range(epochs) for case, _ in balanced_draws(labels, derive_seed(seed, epoch))]
    often = np.bincount(drawn, minlength=len(labels))
    wanted = len(drawn) / len(counts) / np.repeat(counts, counts)
    # Six standard deviations of a binomial count and some for small ones: up to 160 cases in 30 examples.
    assert (np.abs(often - wanted) < 6 * np.sqrt(wanted) + 3).all()
    classes = np.bincount(np.array(labels)[drawn] // 3)
    assert (np.abs(classes - len(drawn) / len(counts)) < 6 * np.sqrt(len(drawn) / len(counts))).all()


@settings(max_examples=25, deadline=None)
@given(
    positions=st.lists(st.integers(0, 23), min_size=8, max_size=24, unique=True),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(1, 10_000),
)
def test_balanced_batches_hold_cases_of_the_dataset_alone(
    bench: Any, positions: list[int], seed: int, epoch: int
) -> None:
    def batches() -> Batches:
        return Batches(CaseDataset(bench.cache, positions, None, seed), 4, CPU, shuffle=True, balanced=True)

    drawn = cases(batches(), epoch)
    assert set(drawn) <= set(positions)
    assert len(drawn) == len(positions) - (len(positions) % 4 == 1)
    used = batches()
    cases(used, epoch + 1)
    assert cases(used, epoch) == drawn, "only seed and epoch count"
    # Two of 8 or more draws from as many cases are the same by chance less than once in 10,000 times.
    assert sum(cases(batches(), epoch + n) != drawn for n in (1, 2, 3)) >= 2


def test_balanced_batches_show_the_rare_class_as_often_as_the_others(bench: Any) -> None:
    labels = np.asarray(bench.cache.labels)
    classes = np.unique(labels)
    rare = np.flatnonzero(labels == classes[0])[:1]
    others = [position for label in classes[1:] for position in np.flatnonzero(labels == label)]
    dataset = CaseDataset(bench.cache, [*rare.tolist(), *map(int, others)], None, 5)
    batches = Batches(dataset, 4, CPU, shuffle=True, balanced=True)
    drawn = np.concatenate([batch.labels.numpy() for epoch in range(1, 200) for batch in batches.epoch(epoch)])
    shares = [(drawn == label).mean() for label in classes]
    assert shares == pytest.approx([1 / len(classes)] * len(classes), abs=0.03)


def test_a_case_that_is_drawn_again_is_augmented_otherwise(bench: Any) -> None:
    dataset = CaseDataset(bench.cache, [3, 8], AUGMENTATION, 1)
    dataset.epoch = 2
    first, again, third = (dataset[1, repetition][0] for repetition in (0, 1, 2))
    assert np.array_equal(first, dataset[1][0]) and np.array_equal(again, dataset[1, 1][0])
    assert not np.array_equal(first, again) and not np.array_equal(again, third)


def test_balanced_batches_without_shuffling_make_no_sense(bench: Any) -> None:
    with pytest.raises(ValueError, match="shuffling"):
        Batches(CaseDataset(bench.cache, range(4)), 2, CPU, shuffle=False, balanced=True)
    with pytest.raises(ValueError, match="nothing to draw"):
        balanced_draws([], 1)
