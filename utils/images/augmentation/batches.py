"""Random changes of whole batches on the device that trains on them: the counterparts of the registered augmentations.

What is drawn is drawn on the host, case by case, from a generator started from the case's seed, so that it depends
neither on the batch that a case is in nor on the device; what is done to pixels is done to all cases at once, where
the pixels are. Kornia resamples them. Its own random augmentations are not used: they draw from the global generator,
and a resumed run would draw other numbers; nor its `warp_affine`, which inverts matrices on the device, and there the
host waits for the result.

The same settings give other pixels than `Augmentation` does (other draws; values are not rounded to 1/255 after every
step), with the same distribution, which the tests compare.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import cv2
import kornia.geometry.transform as geometry
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from utils.images.augmentation.cases import AUGMENTATION, Border, Probability
from utils.images.augmentation.drawing import drawn_affine
from utils.registry import Registry

Drawn = TypeVar("Drawn")

_PADDING = {"constant": "zeros", "reflect": "reflection"}


class BatchPart(Generic[Drawn]):
    """One augmentation of batches. p: how likely it is for a case, where `draw` does not decide that itself."""

    def __init__(self, p: float = 1.0) -> None:
        self.p = p

    def draw(self, chance: random.Random, height: int, width: int) -> Drawn:
        """What is to happen to one case of this size."""
        raise NotImplementedError

    def apply(self, images: Tensor, masks: Tensor, drawn: Sequence[Drawn]) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) in [0, 1] and masks (B, 1, H, W), changed as was drawn for each of the B cases."""
        raise NotImplementedError


BATCH_AUGMENTATION: Registry[Callable[..., BatchPart[Any]]] = Registry("augmentation of batches")
"""Name -> factory of the counterpart of the augmentation of that name, with the same options."""


class BatchAugmentation:
    """A list of augmentations for batches on any device."""

    def __init__(self, parts: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """`parts`: pairs of a registered name and its options, applied in this order.

        Raises UserError for a name without a counterpart, pydantic's ValidationError for options that are refused.
        """
        self._parts = [BATCH_AUGMENTATION[name](**AUGMENTATION.check(name, options)) for name, options in parts]

    def __call__(self, images: Tensor, masks: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The augmented images and masks; the arguments alone determine them. The host waits for nothing.

        images: float32 (B, C, H, W) in [0, 1]. masks: float32 (B, 1, H, W) of 0 and 1. seeds: one for each case,
        any integers. Returns tensors of the same shapes and types; the arguments may have been changed.
        """
        chances = [random.Random(int(seed)) for seed in seeds]
        height, width = images.shape[-2:]
        for part in self._parts:
            drawn = {
                row: part.draw(chance, height, width)
                for row, chance in enumerate(chances)
                if part.p > 0 and chance.random() < part.p
            }
            if drawn:
                rows = _on(images, list(drawn), torch.int64)
                changed = part.apply(images[rows], masks[rows], list(drawn.values()))
                images, masks = images.index_copy(0, rows, changed[0]), masks.index_copy(0, rows, changed[1])
        return images, masks


class _Flip(BatchPart[tuple[bool, bool]]):
    """Mirrors left and right, top and bottom; drawn: whether."""

    def __init__(self, horizontal: float, vertical: float) -> None:
        super().__init__()
        self.horizontal, self.vertical = horizontal, vertical

    def draw(self, chance: random.Random, height: int, width: int) -> tuple[bool, bool]:
        return chance.random() < self.horizontal, chance.random() < self.vertical

    def apply(self, images: Tensor, masks: Tensor, drawn: Sequence[tuple[bool, bool]]) -> tuple[Tensor, Tensor]:
        for axis, chosen in zip((-1, -2), zip(*drawn, strict=True), strict=True):
            mirrored = _on(images, chosen, torch.bool).view(-1, 1, 1, 1)
            images = torch.where(mirrored, images.flip(axis), images)
            masks = torch.where(mirrored, masks.flip(axis), masks)
        return images, masks


class _Geometry(BatchPart[np.ndarray]):
    """Moves pixels. Masks are read by nearest neighbour, and are 0 outside the image, as those of single cases are."""

    def __init__(self, border: Border, p: float) -> None:
        super().__init__(p)
        self.padding = _PADDING[border]

    def apply(self, images: Tensor, masks: Tensor, drawn: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        height, width = images.shape[-2:]
        x, y = self.sources(_on(images, np.stack(drawn), torch.float32), height, width)
        # From pixels to where -1 and 1 are the centres of the first and the last; kornia would do it with numbers
        # that it sends to the device, and the host would wait.
        x, y = x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1

        def moved(pixels: Tensor, mode: str, padding: str) -> Tensor:
            return geometry.remap(pixels, x, y, mode, padding, align_corners=True, normalized_coordinates=True)

        return moved(images, "bilinear", self.padding), moved(masks, "nearest", "zeros")

    def sources(self, drawn: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """From which x and y, in pixels, each pixel is read: (B, H, W) each."""
        raise NotImplementedError


class _Affine(_Geometry):
    """Rotation, scaling and shift about the centre; drawn: the matrix from result to source, float64 (2, 3)."""

    def __init__(self, border: Border, p: float, degrees: float = 0, shift: float = 0, scale: float = 0) -> None:
        super().__init__(border, p)
        self.degrees, self.shift, self.scale = degrees, shift, scale

    def draw(self, chance: random.Random, height: int, width: int) -> np.ndarray:
        return cv2.invertAffineTransform(drawn_affine(chance, height, width, self.degrees, self.shift, self.scale))

    def sources(self, drawn: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        x, y = _coordinates(drawn, height, width)
        along_x, along_y, shift = drawn[..., None, None].unbind(2)
        across = along_x * x + along_y * y + shift
        return across[:, 0], across[:, 1]


class _Elastic(_Geometry):
    """Displacements drawn on a coarse grid and interpolated by cubics; drawn: the grid, in pixels, (2, grid, grid)."""

    def __init__(self, border: Border, p: float, grid: int, displacement: float) -> None:
        super().__init__(border, p)
        self.grid, self.displacement = grid, displacement

    def draw(self, chance: random.Random, height: int, width: int) -> np.ndarray:
        normal = [chance.gauss(0, self.displacement * min(height, width)) for _ in range(2 * self.grid**2)]
        return np.reshape(normal, (2, self.grid, self.grid))

    def sources(self, drawn: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        # Torch's cubic is OpenCV's.
        field = functional.interpolate(drawn, (height, width), mode="bicubic", align_corners=False)
        x, y = _coordinates(drawn, height, width)
        return field[:, 0] + x, field[:, 1] + y


class _BrightnessContrast(BatchPart[tuple[float, float]]):
    """Multiplies and adds; drawn: the factor, and what is added, as a part of the range."""

    def __init__(self, brightness: float, contrast: float, p: float) -> None:
        super().__init__(p)
        self.brightness, self.contrast = brightness, contrast

    def draw(self, chance: random.Random, height: int, width: int) -> tuple[float, float]:
        return 1 + chance.uniform(-self.contrast, self.contrast), chance.uniform(-self.brightness, self.brightness)

    def apply(self, images: Tensor, masks: Tensor, drawn: Sequence[tuple[float, float]]) -> tuple[Tensor, Tensor]:
        factors, added = _on(images, drawn, torch.float32).view(-1, 2, 1, 1, 1).unbind(1)
        return (images * factors + added).clamp_(0, 1), masks


class _Noise(BatchPart[tuple[float, int]]):
    """Gaussian noise, the same in all channels; drawn: its standard deviation, as a part of the range, and its seed.

    Drawn on the device, where there is most of it: other numbers on a GPU than on a CPU, on each always the same.
    """

    def __init__(self, std: float, p: float) -> None:
        super().__init__(p)
        self.std = std

    def draw(self, chance: random.Random, height: int, width: int) -> tuple[float, int]:
        return chance.uniform(0, self.std), chance.getrandbits(63)

    def apply(self, images: Tensor, masks: Tensor, drawn: Sequence[tuple[float, int]]) -> tuple[Tensor, Tensor]:
        noise = torch.empty(len(images), 1, *images.shape[-2:], device=images.device)
        generator = torch.Generator(images.device)
        for plane, (_, seed) in zip(noise, drawn, strict=True):
            plane.normal_(generator=generator.manual_seed(seed))
        strength = _on(images, [std for std, _ in drawn], torch.float32).view(-1, 1, 1, 1)
        return (images + strength * noise).clamp_(0, 1), masks


def _on(other: Tensor, values: Sequence[Any] | np.ndarray, dtype: torch.dtype) -> Tensor:
    """A few numbers on the device of another tensor. From pageable memory CUDA would have the host wait."""
    tensor = torch.as_tensor(np.asarray(values), dtype=dtype)
    return (tensor.pin_memory() if other.is_cuda else tensor).to(other.device, non_blocking=True)


def _coordinates(other: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The x (1, W) and the y (H, 1) of every pixel, on the device of another tensor."""
    pixels = [torch.arange(side, device=other.device, dtype=torch.float32) for side in (width, height)]
    return pixels[0][None, :], pixels[1][:, None]


@BATCH_AUGMENTATION.register("flip")
def _flip(*, horizontal: bool, vertical: bool, p: Probability) -> BatchPart[Any]:
    return _Flip(p * horizontal, p * vertical)


@BATCH_AUGMENTATION.register("rotate")
def _rotate(*, limit: float, border: Border, p: Probability) -> BatchPart[Any]:
    return _Affine(border, p, degrees=limit)


@BATCH_AUGMENTATION.register("shift_scale")
def _shift_scale(*, shift: float, scale: float, border: Border, p: Probability) -> BatchPart[Any]:
    return _Affine(border, p, shift=shift, scale=scale)


@BATCH_AUGMENTATION.register("brightness_contrast")
def _brightness_contrast(*, brightness: float, contrast: float, p: Probability) -> BatchPart[Any]:
    return _BrightnessContrast(brightness, contrast, p)


@BATCH_AUGMENTATION.register("noise")
def _noise(*, std: float, p: Probability) -> BatchPart[Any]:
    return _Noise(std, p)


@BATCH_AUGMENTATION.register("elastic")
def _elastic(*, grid: int, displacement: float, border: Border, p: Probability) -> BatchPart[Any]:
    return _Elastic(border, p, grid=grid, displacement=displacement)
