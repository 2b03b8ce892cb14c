"""A learnable filter of a feature's spectrum."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn


class SpectralFilter(nn.Module):
    """Multiplies each channel's spectrum by a learnable response, after GFNet (Rao et al. 2021, arXiv 2107.00645).

    (B, channels, h, w) to the same shape and type; a circular convolution as large as the feature.

    kind: how a response is parametrised. amplitude_phase: the spectrum's amplitude is multiplied by a gain, and an
        angle is added to its phase. real_imaginary: by its real and imaginary parts.
    grid: responses are learned at this many vertical frequencies and grid // 2 + 1 horizontal ones, from 0 to half a
        cycle per position, and interpolated bilinearly, so that one filter fits features of every size.

    Parameters are what a response differs by from 1, so that the filter starts as the identity, and weight decay leads
    back there rather than to silence.

    Computed in at least float32 whatever the autocast type: sums over all positions and transforms of odd lengths are
    beyond half precision. Amplitudes and angles are never taken of the spectrum, only of the response: at an amplitude
    of 0 they would have no gradient.
    """

    def __init__(self, channels: int, kind: Literal["amplitude_phase", "real_imaginary"], grid: int = 8) -> None:
        super().__init__()
        self.kind = kind
        # [0]: gain or real part, less 1. [1]: phase in radians, or imaginary part.
        self.deviation = nn.Parameter(torch.zeros(2, channels, grid, grid // 2 + 1))

    def forward(self, feature: Tensor) -> Tensor:
        """(B, channels, h, w) -> the same shape."""
        size = feature.shape[-2:]
        with _without_autocast(feature.device):
            spectrum = torch.fft.rfft2(feature.to(_wide(feature.dtype)), norm="ortho")
            filtered = torch.fft.irfft2(spectrum * self.response(size[0], size[1]), s=size, norm="ortho")
        return filtered.to(feature.dtype)

    def response(self, height: int, width: int) -> Tensor:
        """Of the spectrum of a (height, width) feature: complex (channels, height, width // 2 + 1)."""
        values = self._symmetric()
        rows, columns = values.shape[-2:]
        vertical = torch.arange(height, device=values.device, dtype=values.dtype) * rows / height
        horizontal = torch.arange(width // 2 + 1, device=values.device, dtype=values.dtype) * 2 * (columns - 1) / width
        values = _hats(vertical, rows, periodic=True) @ values @ _hats(horizontal, columns, periodic=False).T
        first, second = 1 + values[0], values[1]
        if self.kind == "amplitude_phase":
            return torch.complex(first * second.cos(), first * second.sin())
        return torch.complex(first, second)

    def _symmetric(self) -> Tensor:
        """The parameters, such that the response is one of a real filter.

        In the first and last columns, frequencies v and -v are both present and must be conjugates: gain and real part
        even, phase and imaginary part odd. What libraries make of a spectrum that is not so differs.
        """
        values = self.deviation.to(_wide(self.deviation.dtype))
        even, odd = values.flip(-2).roll(1, -2)
        mirrored = torch.stack([even, -odd])
        column = torch.arange(values.shape[-1], device=values.device)
        outer = (column == 0) | (column == values.shape[-1] - 1)
        return torch.where(outer, (values + mirrored) / 2, values)


def _hats(positions: Tensor, points: int, periodic: bool) -> Tensor:
    """Weights (n, points) of linear interpolation at positions (n,) between values at 0, 1, ..., points - 1.

    As a matrix, because the gradients of `F.interpolate` and `grid_sample` are not reproducible on CUDA.
    """
    distance = (positions[:, None] - torch.arange(points, device=positions.device, dtype=positions.dtype)).abs()
    if periodic:
        distance = torch.minimum(distance, points - distance)
    return (1 - distance).clamp(min=0)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


@contextmanager
def _without_autocast(device: torch.device) -> Iterator[None]:
    # The meta device, on which costs are counted, has no autocast to turn off.
    if not torch.amp.is_autocast_available(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield
