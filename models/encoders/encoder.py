"""What every encoder is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Encoder(Protocol):
    """What networks, bottlenecks and decoders may ask of an encoder (which is also an `nn.Module`)."""

    @property
    def out_channels(self) -> list[int]:
        """Channels of each feature, the finest first; 0 where a level exists in name only (mit_b0, ConvNeXt)."""

    @property
    def output_stride(self) -> int:
        """Input side divided by the deepest feature's side."""

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W), H and W divisible by `output_stride`, to `depth` + 1 features, the finest first."""
