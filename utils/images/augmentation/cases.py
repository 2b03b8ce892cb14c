"""Random changes of training images and their masks, with albumentations, as pure functions of a seed.

albumentations keeps random state inside its transforms. Here the state is set anew before every
call, so that a sample depends on its seed alone: not on the order of loading, nor on workers,
threads or an interruption. `Compose.set_random_seed` is no way to do that: besides its cost (50 us)
it gives every transform a generator of its own with the same seed, so that all of them draw the
same numbers and an image is, say, rotated clockwise exactly when it is flipped.
"""

from __future__ import annotations

import functools
import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import Field

from utils.images.augmentation.drawing import drawn_affine
from utils.registry import Registry

# albumentations asks the network for its newest version when it is imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

AUGMENTATION: Registry[Callable[..., A.BasicTransform | A.BaseCompose]] = Registry("augmentation")
"""Name -> factory of an albumentations transform, or of a composition of several.

A transform must draw from its own ``py_random`` and ``random_generator`` and from nothing else.
"""

Probability = Annotated[float, Field(ge=0, le=1)]
Border = Literal["constant", "reflect"]

_BORDERS = {"constant": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}


class Augmentation:
    """A list of augmentations. Safe to share between threads and to send to other processes."""

    def __init__(self, parts: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """`parts`: pairs of a registered name and its options, applied in this order.

        Raises UserError for an unknown name, pydantic's ValidationError for options that are refused.
        """
        self.parts = tuple((name, AUGMENTATION.check(name, options)) for name, options in parts)
        self._local = threading.local()

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The augmented image and mask; the arguments alone determine them.

        image: uint8, (height, width) or (height, width, 3). mask: uint8, (height, width).
        seed: any integer (`utils.identity.derive_seed` makes good ones).

        Returns new arrays of the same shapes and types; the arguments stay as they are.
        """
        data = {"image": image.copy(), "mask": mask.copy()}
        for transform in self._transforms(seed):
            data = transform(**data)
        return data["image"], data["mask"]

    def _transforms(self, seed: int) -> list[A.BasicTransform | A.BaseCompose]:
        """This thread's transforms, which all draw from one pair of generators started from `seed`."""
        local = self._local
        if not hasattr(local, "transforms"):
            local.python, local.numpy = random.Random(0), np.random.Generator(np.random.PCG64(0))
            local.transforms = [AUGMENTATION[name](**options) for name, options in self.parts]
            for transform in local.transforms:
                transform.set_random_state(local.numpy, local.python)
        local.python.seed(int(seed))
        # Starting PCG64 in place takes a third of the time that making a new generator does.
        local.numpy.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": local.python.getrandbits(128), "inc": local.python.getrandbits(128) | 1},
            "has_uint32": 0,
            "uinteger": 0,
        }
        return local.transforms

    def __reduce__(self) -> tuple[type[Augmentation], tuple[Any]]:
        return type(self), (self.parts,)


class _Geometry(A.DualTransform):
    """Moves pixels. Masks are read by nearest neighbour, and are 0 outside the image.

    albumentations' own transforms have one border mode for both, and a mask that is reflected
    would hold lesions that were never drawn. An image that is reflected shows them all the same,
    which is why a constant border (black, as around any ultrasound sector) is the default.
    """

    def __init__(self, border: Border, p: float) -> None:
        super().__init__(p=p)
        self.border = _BORDERS[border]

    def apply(self, img: np.ndarray, *_: Any, **params: Any) -> np.ndarray:
        return self.move(img, params["move"], cv2.INTER_LINEAR, self.border)

    def apply_to_mask(self, mask: np.ndarray, *_: Any, **params: Any) -> np.ndarray:
        return self.move(mask, params["move"], cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        return {"move": self.draw(*params["shape"][:2])}

    def draw(self, height: int, width: int) -> np.ndarray:
        """A random movement of an image of this size, in the form that `move` takes."""
        raise NotImplementedError

    def move(self, pixels: np.ndarray, movement: np.ndarray, interpolation: int, border: int) -> np.ndarray:
        """The moved pixels, of the same shape and type."""
        raise NotImplementedError


class _Affine(_Geometry):
    """Rotation, scaling and shift about the centre, drawn uniformly.

    Python adds 15 us to the two warps, in A.Affine 65 us.
    """

    def __init__(self, border: Border, p: float, degrees: float = 0, shift: float = 0, scale: float = 0) -> None:
        super().__init__(border, p)
        self.degrees, self.shift, self.scale = degrees, shift, scale

    def draw(self, height: int, width: int) -> np.ndarray:
        return drawn_affine(self.py_random, height, width, self.degrees, self.shift, self.scale)

    def move(self, pixels: np.ndarray, movement: np.ndarray, interpolation: int, border: int) -> np.ndarray:
        height, width = pixels.shape[:2]
        return cv2.warpAffine(pixels, movement, (width, height), flags=interpolation, borderMode=border)


class _Elastic(_Geometry):
    """Displacements drawn on a coarse grid and interpolated by cubics."""

    def __init__(self, border: Border, p: float, grid: int, displacement: float) -> None:
        super().__init__(border, p)
        self.grid, self.displacement = grid, displacement

    def draw(self, height: int, width: int) -> np.ndarray:
        coarse = self.random_generator.standard_normal((2, self.grid, self.grid), dtype=np.float32)
        coarse *= self.displacement * min(height, width)
        field = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in coarse]
        return np.add(field, _coordinates(height, width))

    def move(self, pixels: np.ndarray, movement: np.ndarray, interpolation: int, border: int) -> np.ndarray:
        return cv2.remap(pixels, movement[0], movement[1], interpolation, borderMode=border)


class _Noise(A.ImageOnlyTransform):
    """Gaussian noise from the transform's own generator.

    A.GaussNoise draws from OpenCV's global one, which it sets to one of 65536 states for that.
    """

    def __init__(self, std: float, p: float) -> None:
        super().__init__(p=p)
        self.std = std

    def apply(self, img: np.ndarray, *_: Any, **params: Any) -> np.ndarray:
        noise = params["noise"] if img.ndim == 2 else cv2.merge([params["noise"]] * img.shape[2])
        # OpenCV rounds, and cuts at 0 and 255.
        return cv2.add(img, noise, dtype=cv2.CV_8U).reshape(img.shape)

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        noise = self.random_generator.standard_normal(params["shape"][:2], dtype=np.float32)
        noise *= 255 * self.py_random.uniform(0, self.std)
        return {"noise": noise}


@functools.lru_cache(maxsize=8)
def _coordinates(height: int, width: int) -> np.ndarray:
    """float32 (2, height, width): the x and the y of every pixel. Shared, therefore read-only."""
    coordinates = np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    coordinates.flags.writeable = False
    return coordinates


@AUGMENTATION.register("flip")
def flip(*, horizontal: bool = True, vertical: bool = False, p: Probability = 0.5) -> A.Sequential:
    """Mirrors left and right, and if asked top and bottom, each with probability `p` of its own.

    In ultrasound depth runs downwards (attenuation, shadows), so a vertical flip makes images that no
    scanner would.
    """
    flips = [A.HorizontalFlip(p=p)] * horizontal + [A.VerticalFlip(p=p)] * vertical
    return A.Sequential(flips, p=1.0)


@AUGMENTATION.register("rotate")
def rotate(
    *, limit: Annotated[float, Field(ge=0, le=180)] = 15.0, border: Border = "constant", p: Probability = 0.5
) -> A.BasicTransform:
    """Rotates about the centre by an angle within +-`limit` degrees."""
    return _Affine(border, p, degrees=limit)


@AUGMENTATION.register("shift_scale")
def shift_scale(
    *,
    shift: Annotated[float, Field(ge=0, le=1)] = 0.05,
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    border: Border = "constant",
    p: Probability = 0.5,
) -> A.BasicTransform:
    """Shifts within +-`shift` of width and height, and scales by a factor within 1 +- `scale`."""
    return _Affine(border, p, shift=shift, scale=scale)


@AUGMENTATION.register("brightness_contrast")
def brightness_contrast(
    *,
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.2,
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.2,
    p: Probability = 0.5,
) -> A.BasicTransform:
    """Multiplies by a factor within 1 +- `contrast` and adds within +-`brightness` of the range (255)."""
    return A.RandomBrightnessContrast(brightness_limit=brightness, contrast_limit=contrast, p=p)


@AUGMENTATION.register("noise")
def noise(*, std: Annotated[float, Field(gt=0, le=1)] = 0.05, p: Probability = 0.3) -> A.BasicTransform:
    """Adds Gaussian noise, the same in all channels, whose standard deviation is at most `std` of the range (255)."""
    return _Noise(std, p)


@AUGMENTATION.register("elastic")
def elastic(
    *,
    grid: Annotated[int, Field(ge=3, le=16)] = 3,
    displacement: Annotated[float, Field(gt=0, le=0.1)] = 0.02,
    border: Border = "constant",
    p: Probability = 0.3,
) -> A.BasicTransform:
    """Smooth deformation: Gaussian displacements on a coarse grid, interpolated by cubics.

    grid: points along each side. displacement: their standard deviation, as a part of the shorter side.
    After Ronneberger, Fischer and Brox, U-Net, MICCAI 2015, whose 10 pixels of 512 are 0.02.
    """
    return _Elastic(border, p, grid=grid, displacement=displacement)
