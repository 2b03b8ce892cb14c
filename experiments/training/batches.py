"""Batches of a fold's cases, drawn from the memory-mapped cache in an order that a seed determines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from utils.identity import derive_seed
from utils.images.augmentation import Augmentation
from utils.images.cache import ImageCache


class Batch(NamedTuple):
    """Inputs and targets of one step, on the device.

    images: float32 (B, 1 or 3, H, W) in [0, 1]. masks: float32 (B, 1, H, W) of 0 and 1.
    labels: int64 (B,). cases: int64 (B,), positions in the cache.
    """

    images: torch.Tensor
    masks: torch.Tensor
    labels: torch.Tensor
    cases: torch.Tensor


class CaseDataset(Dataset[tuple[np.ndarray, np.ndarray, int, int]]):
    """The cases at `positions` of a cache, as (image, mask, label, position), augmented if asked.

    Augmentation is seeded by (run, epoch, case): a case looks the same in epoch 7 of a resumed run as
    in epoch 7 of an undisturbed one, whichever process draws it. An item is a place in `positions`; with
    (place, repetition) a case that an epoch draws several times looks different every time.
    """

    def __init__(
        self, cache: ImageCache, positions: Sequence[int], augmentation: Augmentation | None = None, seed: int = 0
    ) -> None:
        self.cache = cache
        self.positions = tuple(positions)
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[np.ndarray, np.ndarray, int, int]:
        place, repetition = item if isinstance(item, tuple) else (item, 0)
        position = self.positions[place]
        image, mask = np.asarray(self.cache.images[position]), np.asarray(self.cache.masks[position])
        if self.augmentation is not None:
            again = (repetition,) if repetition else ()
            seed = derive_seed(self.seed, "augmentation", self.epoch, self.cache.ids[position], *again)
            image, mask = self.augmentation(image, mask, seed)
        return image, mask, int(self.cache.labels[position]), position


class Batches:
    """Iterates over a dataset in batches; `epoch` seeds the order when shuffling.

    balanced: an epoch is as many draws as there are cases, with replacement, every class of the dataset being
    equally likely and then every case of that class. Only for shuffling: ValueError without.
    """

    def __init__(
        self,
        dataset: CaseDataset,
        batch_size: int,
        device: torch.device,
        shuffle: bool = False,
        balanced: bool = False,
    ) -> None:
        if balanced and not shuffle:
            raise ValueError("balanced draws are a kind of shuffling; they have no order of their own")
        self.dataset = dataset
        self.device = device
        self.shuffle = shuffle
        # Batch normalisation cannot train on a single value per channel, which is what a last batch of
        # one case becomes where features are pooled to 1 x 1.
        drop_last = shuffle and len(dataset) % batch_size == 1 and len(dataset) > 1
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=_order(dataset, balanced) if shuffle else None,
            drop_last=drop_last,
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            # Without one of its own, the loader draws from the global generator that seeds dropout.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self._loader)

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, on the device."""
        self.dataset.epoch = epoch
        for images, masks, labels, cases in self._loader:
            yield Batch(
                images.to(self.device, non_blocking=True).float().div_(255),
                masks.to(self.device, non_blocking=True).float(),
                labels.to(self.device, non_blocking=True),
                cases,
            )


EVALUATED_AT_ONCE = 2
"""Batches of training in one of evaluation: without gradients a case takes less than half of the memory."""


def evaluation_batches(cache: ImageCache, positions: Sequence[int], batch_size: int, device: torch.device) -> Batches:
    """The cases in this order, as they are, for an evaluation. batch_size: cases at once in training."""
    return Batches(CaseDataset(cache, positions), EVALUATED_AT_ONCE * batch_size, device)


def balanced_draws(labels: Sequence[int], seed: int) -> list[tuple[int, int]]:
    """As many draws as there are labels, with replacement: every class that occurs equally likely, then its cases.

    Each is (place in `labels`, how often it was drawn before). Raises ValueError where there are no labels.
    """
    members = [np.flatnonzero(np.equal(labels, label)) for label in np.unique(labels)]
    if not members:
        raise ValueError("nothing to draw from")
    random = np.random.default_rng(seed)
    classes = random.integers(len(members), size=len(labels))
    places = random.integers(np.array([len(cases) for cases in members])[classes])
    before = [0] * len(labels)
    draws = []
    for chosen, place in zip(classes.tolist(), places.tolist(), strict=True):
        case = int(members[chosen][place])
        draws.append((case, before[case]))
        before[case] += 1
    return draws


def _order(dataset: CaseDataset, balanced: bool) -> torch.utils.data.Sampler[Any]:
    return _BalancedOrder(dataset) if balanced else _EpochOrder(dataset)


class _BalancedOrder(torch.utils.data.Sampler[tuple[int, int]]):
    """Draws per (run, epoch) that show every class equally often, by the labels of the dataset's own cases."""

    def __init__(self, dataset: CaseDataset) -> None:
        self.dataset = dataset
        self.labels = [int(dataset.cache.labels[position]) for position in dataset.positions]

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(balanced_draws(self.labels, derive_seed(self.dataset.seed, "order", self.dataset.epoch)))


class _EpochOrder(torch.utils.data.Sampler[int]):
    """A permutation per (run, epoch)."""

    def __init__(self, dataset: CaseDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        seed = derive_seed(self.dataset.seed, "order", self.dataset.epoch)
        return iter(np.random.default_rng(seed).permutation(len(self.dataset)).tolist())


def _collate(samples: list[tuple[np.ndarray, np.ndarray, int, int]]) -> list[torch.Tensor]:
    """Stacks uint8 samples; they become float on the device, where it is a quarter of the traffic."""
    images = torch.from_numpy(np.stack([sample[0] for sample in samples]))
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.stack([sample[1] for sample in samples])).unsqueeze(1)
    labels = torch.tensor([sample[2] for sample in samples])
    return [images, masks, labels, torch.tensor([sample[3] for sample in samples])]
