"""The contracting path of U-Net (Ronneberger et al. 2015, arXiv 1505.04597), to be trained from scratch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from models.double_convolution import DoubleConvolution
from models.encoders.registry import ENCODERS

# Three channels at full resolution would be taken for the image itself.
Width = Annotated[int, Field(ge=4)]
Dropout = Annotated[float, Field(ge=0, lt=1)]

WIDEST = 16
"""Channels grow to this many times those at full resolution, and no further: 1024 from 64."""


@ENCODERS.register("unet_scratch")
class UnetScratchEncoder(nn.Module):
    """Double convolutions with max pooling between them; it has no published weights.

    width: channels at full resolution; they double with every pooling, up to 16 times as many.
    dropout: of whole channels after every double convolution.

    Unlike most encoders its feature 0 is not the image but a feature at full resolution.
    Raises ValueError for a depth outside 1 to 5, and for an output stride that would need dilation.
    """

    def __init__(self, depth: int = 5, output_stride: int = 32, *, width: Width = 64, dropout: Dropout = 0.0) -> None:
        if not 1 <= depth <= 5:
            raise ValueError(f"unet_scratch has depths 1 to 5, not {depth}")
        if output_stride < 2**depth:
            raise ValueError("unet_scratch halves by max pooling, which dilation cannot replace")
        super().__init__()
        self._out_channels = [min(2**level, WIDEST) * width for level in range(depth + 1)]
        self.pooling = nn.MaxPool2d(2)
        self.levels = nn.ModuleList(
            DoubleConvolution(below, channels, dropout)
            for below, channels in zip([3, *self._out_channels], self._out_channels, strict=False)
        )

    @property
    def out_channels(self) -> list[int]:
        """Channels of each feature, that of full resolution first."""
        return list(self._out_channels)

    @property
    def output_stride(self) -> int:
        """Input side divided by the deepest feature's side."""
        return 2 ** (len(self._out_channels) - 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) to `depth` + 1 features of strides 1, 2, 4, ..."""
        features = [self.levels[0](images)]
        for level in self.levels[1:]:
            features.append(level(self.pooling(features[-1])))
        return features
