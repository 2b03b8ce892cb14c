"""What every latent augmentation is, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Feeds = Literal["head", "decoder"]


class Mixing(NamedTuple):
    """Which samples of a batch were mixed with which: row i is weight[i] * i + (1 - weight[i]) * partner[i].

    partner: (B,) int64, i itself where nothing was mixed. weight: (B,) float32 in [0, 1], 1 where nothing was mixed.
    """

    partner: Tensor
    weight: Tensor

    @classmethod
    def nothing(cls, labels: Tensor) -> Mixing:
        """Of a batch with these labels (B,), every sample for itself."""
        itself = torch.arange(len(labels), device=labels.device)
        return cls(itself, torch.ones(len(labels), device=labels.device))

    @classmethod
    def joined(cls, parts: Sequence[Mixing]) -> Mixing:
        """Of a batch whose parts were mixed each in itself."""
        firsts = accumulate((len(part.partner) for part in parts[:-1]), initial=0)
        partners = [part.partner + first for part, first in zip(parts, firsts, strict=True)]
        return cls(torch.cat(partners), torch.cat([part.weight for part in parts]))

    def mix(self, values: Tensor) -> Tensor:
        """Values (B, ...), features or masks, mixed in the same way; rows that are not mixed stay as they are.

        Of the type of the values, or float32 where that has no fractions.
        """
        shape = (-1, *[1] * (values.dim() - 1))
        # In the weights' own precision: half of it would give features and masks different weights.
        weight = self.weight.view(shape)
        mixed = weight * values + (1 - weight) * values[self.partner]
        if values.is_floating_point():
            mixed = mixed.to(values.dtype)
        unmixed = self.partner == torch.arange(len(values), device=values.device)
        return torch.where(unmixed.view(shape), values, mixed)


class LatentAugmentation(nn.Module):
    """Changes features of samples of the minority classes, in training only; a subclass says how, in `augment`.

    feeds: who sees the changed feature: the classification head alone, or the decoder too; then every level and the
    masks are mixed by the same weights, since evidence and answer must belong together.
    classes: names of the classes that it is for, or None: those that the training part has too few of.
    probability: with which a sample of theirs is changed.

    Random numbers come from torch's generator of the feature's device, as many for a batch without the minority as for
    one full of it; in eval mode none.
    """

    def __init__(self, feeds: Feeds, classes: tuple[str, ...] | None, probability: float) -> None:
        super().__init__()
        self.feeds = feeds
        self.classes = classes
        self.probability = probability

    def forward(self, feature: Tensor, labels: Tensor, minority: Tensor) -> tuple[Tensor, Mixing]:
        """Feature (B, C, h, w), labels (B,) in [0, classes), minority (classes,) bool -> the feature and its mixing."""
        if not self.training:
            return feature, Mixing.nothing(labels)
        chosen = minority[labels] & (torch.rand(len(labels), device=labels.device) < self.probability)
        return self.augment(feature, labels, chosen)

    def augment(self, feature: Tensor, labels: Tensor, chosen: Tensor) -> tuple[Tensor, Mixing]:
        """Changes the chosen (B,) samples of a feature (B, C, h, w) and leaves the others as they are, bit for bit."""
        raise NotImplementedError
