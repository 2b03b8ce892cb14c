"""The cases of a part of a fold, one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from experiments.training.batches.batch import Sample
from experiments.training.batches.order import Draw
from utils.identity import derive_seed
from utils.images.augmentation import Augmentation
from utils.images.cache import ImageCache


class CaseDataset(Dataset[Sample]):
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

    def __getitem__(self, item: int | Draw) -> Sample:
        draw = item if isinstance(item, tuple) else (item, 0)
        position = self.positions[draw[0]]
        image, mask = np.asarray(self.cache.images[position]), np.asarray(self.cache.masks[position])
        if self.augmentation is not None:
            image, mask = self.augmentation(image, mask, self.augmentation_seed(draw))
        return image, mask, int(self.cache.labels[position]), position

    def augmentation_seed(self, draw: Draw) -> int:
        """What determines how a draw of this epoch is changed."""
        place, repetition = draw
        again = (repetition,) if repetition else ()
        return derive_seed(self.seed, "augmentation", self.epoch, self.cache.ids[self.positions[place]], *again)
