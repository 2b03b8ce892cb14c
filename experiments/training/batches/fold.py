"""The batches of all parts of a fold, as the settings want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from experiments.sweep import TrainingSettings
from experiments.training.batches.batches import Batches, ChangeOfBatches
from experiments.training.batches.cases import CaseDataset
from experiments.training.batches.resident import Resident
from utils.images.augmentation import Augmentation
from utils.images.cache import ImageCache

EVALUATED_AT_ONCE = 2
"""Batches of training in one of evaluation: without gradients a case takes less than half of the memory."""


class FoldBatches(NamedTuple):
    """Those of each part of a fold. Training ones are shuffled and augmented, the others are the cases as they are."""

    train: Batches
    validation: Batches
    test: Batches


def fold_batches(
    cache: ImageCache,
    positions: Mapping[str, Sequence[int]],
    training: TrainingSettings,
    device: torch.device,
    *,
    seed: int,
    evaluated: int,
) -> FoldBatches:
    """The batches of a run.

    positions: in the cache, of the cases of each part (``train``, ``validation``, ``test``). seed: of the run.
    evaluated: cases at once in an evaluation.
    """
    resident = Resident.where_it_fits(cache, device)
    on_host, on_device = _augmentation(training)
    train = Batches(
        CaseDataset(cache, positions["train"], on_host, seed),
        training.batch_size,
        device,
        shuffle=True,
        balanced=training.sampler == "balanced",
        resident=resident if on_host is None else None,
        augmentation=on_device,
    )
    plain = (
        Batches(CaseDataset(cache, positions[part]), evaluated, device, resident=resident)
        for part in ("validation", "test")
    )
    return FoldBatches(train, *plain)


def evaluation_batches(cache: ImageCache, positions: Sequence[int], batch_size: int, device: torch.device) -> Batches:
    """The cases in this order, as they are, for an evaluation. batch_size: cases at once in training."""
    return Batches(CaseDataset(cache, positions), EVALUATED_AT_ONCE * batch_size, device)


def _augmentation(training: TrainingSettings) -> tuple[Augmentation | None, ChangeOfBatches | None]:
    """What changes single cases on the host, and what changes batches on the device: at most one of them."""
    parts = [(part.name, dict(part.options)) for part in training.augmentation]
    if not parts:
        return None, None
    if training.augmentation_on == "host":
        return Augmentation(parts), None
    # Imported where it is wanted: it needs kornia, which takes a third of a second.
    from utils.images.augmentation.batches import BatchAugmentation

    return None, BatchAugmentation(parts)
