"""Atrous spatial pyramid pooling, for bottlenecks and decoders of ours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ASPP(nn.Module):
    """Parallel dilated 3x3 convolutions, concatenated, batch normalisation, ReLU, and a 1x1 projection.

    (B, in_channels, h, w) to (B, out_channels, h, w), after Chen et al. 2017 (arXiv 1606.00915), without the pooled
    branch that DeepLabV3 added to it.

    rates: dilation of each branch; 1 is a plain convolution.
    branch_channels: of each branch; `out_channels` if None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        rates: Sequence[int] = (1, 6, 12, 18),
        branch_channels: int | None = None,
    ) -> None:
        if not rates or min(rates) < 1:
            raise ValueError(f"rates must be one or more positive numbers, not {list(rates)}")
        super().__init__()
        width = branch_channels or out_channels
        self.branches = nn.ModuleList(
            # The bias would be undone by the normalisation that follows. Padding by the rate keeps the size.
            nn.Conv2d(in_channels, width, 3, padding=rate, dilation=rate, bias=False)
            for rate in rates
        )
        self.norm = nn.BatchNorm2d(width * len(rates))
        self.activation = nn.ReLU(inplace=True)
        self.projection = nn.Conv2d(width * len(rates), out_channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, out_channels, h, w)."""
        together = torch.cat([branch(feature) for branch in self.branches], dim=1)
        return self.projection(self.activation(self.norm(together)))
