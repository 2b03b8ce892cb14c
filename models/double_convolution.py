"""Two convolutions in a row, the unit of U-shaped networks of ours: plain, and residual."""

from __future__ import annotations

from torch import Tensor, nn


class DoubleConvolution(nn.Sequential):
    """3x3 convolution, batch normalisation, ReLU, twice, after Ronneberger et al. 2015 (arXiv 1505.04597).

    (B, in_channels, h, w) to (B, out_channels, h, w): padded, unlike theirs. Weights are drawn as theirs (He et al.).

    dropout: probability that a whole channel of the result is zero in training.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float = 0.0) -> None:
        super().__init__(
            *_normalised_convolution(in_channels, out_channels),
            nn.ReLU(inplace=True),
            *_normalised_convolution(out_channels, out_channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout2d(dropout)] if dropout else []),
        )


class ResidualDoubleConvolution(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one, added before the last ReLU, after He et al. 2016 (arXiv 1512.03385).

    (B, in_channels, h, w) to (B, out_channels, h, w). dropout: as for `DoubleConvolution`.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_normalised_convolution(in_channels, out_channels),
            nn.ReLU(inplace=True),
            *_normalised_convolution(out_channels, out_channels),
        )
        self.shortcut = nn.Sequential(*_normalised_convolution(in_channels, out_channels, kernel_size=1))
        self.activation = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, out_channels, h, w)."""
        return self.dropout(self.activation(self.residual(feature) + self.shortcut(feature)))


def _normalised_convolution(in_channels: int, out_channels: int, kernel_size: int = 3) -> tuple[nn.Module, nn.Module]:
    # The normalisation would undo a bias.
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return convolution, nn.BatchNorm2d(out_channels)
