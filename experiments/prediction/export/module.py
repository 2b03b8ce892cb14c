"""The ensemble as a single module: images in, probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from models.network import Network, foreground_of


class EnsembleModule(nn.Module):
    """Averages the logits of networks that see the same image, as `Ensemble` does."""

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """images: float32 (B, 3, H, W) in [0, 1], prepared as the file's metadata say; each network normalises them.

        Returns the probability of lesion (B, 1, H, W) and, where there are classification heads, the probabilities of
        the diagnoses (B, C).
        """
        outputs = [cast(Network, network)(images) for network in self.networks]
        lesion = torch.stack([foreground_of(output.masks) for output in outputs]).mean(dim=0).sigmoid()
        if outputs[0].labels is None:
            return (lesion,)
        return lesion, torch.stack([output.labels for output in outputs]).mean(dim=0).softmax(dim=1)
