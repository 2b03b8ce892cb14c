"""Batches of a part of a fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from experiments.training.batches.batch import Batch, Pixels, collate
from experiments.training.batches.cases import CaseDataset
from experiments.training.batches.order import Draw, Kind, Order
from experiments.training.batches.prefetch import prefetched
from experiments.training.batches.resident import Resident

AHEAD = 2
"""Batches that are made while a GPU is at work. On the CPU none: there are as many runs as cores, so that a thread at
the side would take its time from another run, and there is little to gain (`tests/benchmarks/loop/waiting.py`)."""

ChangeOfBatches = Callable[[torch.Tensor, torch.Tensor, Sequence[int]], tuple[torch.Tensor, torch.Tensor]]
"""Images, masks and a seed for each case -> images and masks; `utils.images.augmentation.BatchAugmentation` is one."""


class Batches:
    """Iterates over a dataset in batches; `epoch` seeds the order when shuffling.

    balanced: an epoch is as many draws as there are cases, with replacement, every class of the dataset being
    equally likely and then every case of that class. Only for shuffling: ValueError without.
    resident: where the pixels are taken from, if they are on the device; a dataset that augments its cases itself
    cannot be: ValueError. augmentation: what is done to whole batches on the device, seeded as the dataset's own is.
    """

    def __init__(
        self,
        dataset: CaseDataset,
        batch_size: int,
        device: torch.device,
        shuffle: bool = False,
        balanced: bool = False,
        resident: Resident | None = None,
        augmentation: ChangeOfBatches | None = None,
    ) -> None:
        if balanced and not shuffle:
            raise ValueError("balanced draws are a kind of shuffling; they have no order of their own")
        if resident is not None and dataset.augmentation is not None:
            raise ValueError("cases that are augmented one by one on the host are not resident on the device")
        self.dataset, self.device = dataset, device
        self.resident, self.augmentation = resident, augmentation
        labels = [int(dataset.cache.labels[position]) for position in dataset.positions]
        kind: Kind = "balanced" if balanced else "shuffled" if shuffle else "given"
        self._order = Order(kind, labels, dataset.seed, batch_size)
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=self._order,
            collate_fn=collate,
            pin_memory=device.type == "cuda",
            # Without one of its own, the loader draws from the global generator that seeds dropout.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self._order)

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, on the device. One epoch at a time: the next one begins where this has ended."""
        self.dataset.epoch = self._order.epoch = epoch
        for pixels, draws in zip(self._pixels(), self._order, strict=True):
            batch = pixels.to_batch(self.device)
            yield batch if self.augmentation is None else self._augmented(batch, draws)

    def _pixels(self) -> Iterator[Pixels]:
        if self.resident is None:
            return prefetched(iter(self._loader), AHEAD if self.device.type != "cpu" else 0)
        places = ([self.dataset.positions[place] for place, _ in draws] for draws in self._order)
        return map(self.resident.pixels, places)

    def _augmented(self, batch: Batch, draws: Sequence[Draw]) -> Batch:
        assert self.augmentation is not None, "asked for only where there is one"
        seeds = [self.dataset.augmentation_seed(draw) for draw in draws]
        images, masks = self.augmentation(batch.images, batch.masks, seeds)
        return batch._replace(images=images, masks=masks)
