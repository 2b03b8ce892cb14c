"""A trained network and its answers at the images' own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from experiments.training.batches import evaluation_batches
from experiments.training.evaluation import answers
from models.network import Network
from utils.images.cache import ImageCache


@dataclass(frozen=True)
class CasePrediction:
    """What a trained network says about one case.

    position: of the case in the cache. probability: of lesion, float32 (H, W) in [0, 1], at the image's own size; above
    one half is what counted as lesion in the record's scores. classes: probabilities (C,) in the order of the cache's
    classes, float64; empty without a classification head.
    """

    position: int
    probability: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class TrainedNetwork:
    """A network in eval mode with its best checkpoint, and the images that it may be asked about.

    batch_size: of training, so that cases are evaluated together as they were.
    """

    network: Network
    cache: ImageCache
    batch_size: int
    device: torch.device

    def predict(self, positions: Sequence[int]) -> Iterator[CasePrediction]:
        """The prediction of each case, in the order of `positions`, computed batch by batch as it is asked for.

        The images are prepared as in training's own evaluation, and never augmented. Raises NotFiniteError for a
        network that has diverged.
        """
        self.network.eval()
        for batch in evaluation_batches(self.cache, positions, self.batch_size, self.device).epoch():
            for answer in answers(self.network, batch, self.cache):
                size = self.cache.native_size(answer.position)
                yield CasePrediction(answer.position, answer.at(size), answer.classes)
