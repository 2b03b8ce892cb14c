"""Mix-up of features within a class."""

from __future__ import annotations

import torch
from torch import Tensor

from models.latent_augmentation.latent_augmentation import Feeds, LatentAugmentation, Mixing
from models.latent_augmentation.modules.noise import with_noise


class IntraClassMixup(LatentAugmentation):
    """Mixes chosen samples with another one of their class, by weights from Beta(alpha, alpha).

    A sample whose class has no other in the batch gets noise instead, of `strength` (see `with_noise`).
    always_noisy: noise also on what was mixed. feeds, classes, probability: see `LatentAugmentation`.
    """

    def __init__(
        self,
        feeds: Feeds,
        classes: tuple[str, ...] | None,
        probability: float,
        alpha: float,
        strength: float,
        always_noisy: bool,
    ) -> None:
        super().__init__(feeds, classes, probability)
        self.alpha = alpha
        self.strength = strength
        self.always_noisy = always_noisy

    def augment(self, feature: Tensor, labels: Tensor, chosen: Tensor) -> tuple[Tensor, Mixing]:
        """The feature with its chosen samples mixed, or noisy, and by which partners and weights."""
        others, found = partners(labels)
        mixed = chosen & found
        itself, one = Mixing.nothing(labels)
        weights = torch.where(mixed, self._weights(labels), one)
        mixing = Mixing(torch.where(mixed, others, itself), weights)
        noisy = chosen if self.always_noisy else chosen & ~found
        return with_noise(mixing.mix(feature), noisy, self.strength), mixing

    def _weights(self, labels: Tensor) -> Tensor:
        """(B,) float32 from Beta(alpha, alpha)."""
        # Apple's GPUs have no gamma distribution; every generator is seeded by `torch.manual_seed`.
        device = "cpu" if labels.device.type == "mps" else labels.device
        alpha = torch.full((), self.alpha, device=device)
        beta = torch.distributions.Beta(alpha, alpha, validate_args=False)
        return beta.sample(labels.shape).to(labels.device)


def partners(labels: Tensor) -> tuple[Tensor, Tensor]:
    """For each of the labels (B,) the position of another one that is equal, each with the same chance, and whether
    there is one; where there is none, the position says nothing.
    """
    same = labels[:, None] == labels[None, :]
    same.fill_diagonal_(False)
    lots = torch.rand(same.shape, device=labels.device).masked_fill(~same, -1)
    return lots.argmax(dim=1), same.any(dim=1)
