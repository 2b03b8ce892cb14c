"""Gaussian noise on features."""

from __future__ import annotations

import torch
from torch import Tensor

from models.latent_augmentation.latent_augmentation import Feeds, LatentAugmentation, Mixing


class Noise(LatentAugmentation):
    """Adds noise to chosen samples; nothing is mixed.

    strength: see `with_noise`. feeds, classes, probability: see `LatentAugmentation`.
    """

    def __init__(self, feeds: Feeds, classes: tuple[str, ...] | None, probability: float, strength: float) -> None:
        super().__init__(feeds, classes, probability)
        self.strength = strength

    def augment(self, feature: Tensor, labels: Tensor, chosen: Tensor) -> tuple[Tensor, Mixing]:
        """The feature with noise on the chosen samples."""
        return with_noise(feature, chosen, self.strength), Mixing.nothing(labels)


def with_noise(feature: Tensor, chosen: Tensor, strength: float) -> Tensor:
    """Feature (B, C, h, w) with Gaussian noise on its chosen (B,) samples.

    strength: the noise's standard deviation, in standard deviations of the sample over all its channels and positions
    (one channel of a small feature has too few positions to have a deviation; of a single position it has none).
    """
    wide = feature.float()
    spread = wide.detach().flatten(1).std(dim=1, correction=0).view(-1, 1, 1, 1)
    noisy = wide + strength * spread * torch.randn_like(wide)
    return torch.where(chosen.view(-1, 1, 1, 1), noisy.to(feature.dtype), feature)
