"""Image and mask files as arrays, or an OSError that names the file.

Covers PNG, JPEG, BMP, TIFF, WebP and PGM with 8 or 16 bits; DICOM is read by `utils.images.dicom`. Does not cover
volumes or pixels stored as floats, and ignores the orientation tag of JPEG: a mask has none, and both must stay
aligned.
"""

from __future__ import annotations

import functools
import io
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 64 * 1024 * 1024
"""Larger images are refused unread: a few kilobytes of PNG can unpack to more memory than there is."""

# Four 16-bit channels, uncompressed, and their header: no readable file within MAX_PIXELS is larger.
_MAX_BYTES = 8 * MAX_PIXELS + 1024 * 1024

# Pillow warns of large images before ours, which are fewer pixels, are refused with a message of our own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# A damaged TIFF is told as an OSError, with its name; Pillow's own words do not say which file it was.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """uint8, (height, width) for grey or (height, width, 3) for RGB.

    Three equal channels become grey, transparency is dropped, 16 bits are scaled to 8.
    Raises OSError naming the file when it is missing, damaged, no image or has more than `max_pixels`.
    """
    pixels = _to_uint8(_decode(path, max_pixels), path)
    if pixels.ndim == 2:
        return pixels
    blue, green, red = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    if np.array_equal(blue, green) and np.array_equal(green, red):
        return np.ascontiguousarray(blue)
    return np.ascontiguousarray(pixels[..., 2::-1])


def read_stored(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The numbers that the file holds: uint8 or uint16, (height, width) or (height, width, 3) for RGB.

    For 16-bit images that are to be windowed, and for masks whose values are the numbers of instances.
    Raises OSError as `read_image` does.
    """
    pixels = _decode(path, max_pixels)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise OSError(f"{path}: pixels of type {pixels.dtype}; only 8 and 16 bit integers can be read")
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])


def size_of(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) as the header states it. Raises OSError as `read_image` does, but for damaged pixels."""
    width, height = _size_in_header(_content(path), Path(path), max_pixels)
    return height, width


def read_mask(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """uint8 of 0 and 1, (height, width): 1 where any colour channel is above 0.

    Reads masks of 0 and 255 as well as of 0 and 1, with 1, 3 or 4 channels. The fourth is transparency, which
    is opaque everywhere in masks exported from drawing programs: it is not a mask.
    Raises OSError as `read_image` does.
    """
    pixels = _decode(path, max_pixels)
    if pixels.ndim == 3:
        # Plane by plane, which takes a twentieth of the time of numpy's maximum along a short last axis.
        pixels = pixels[..., 0] | pixels[..., 1] | pixels[..., 2]
    return (pixels > 0).view(np.uint8)


def merge_masks(masks: Sequence[np.ndarray]) -> np.ndarray:
    """The OR of one or more masks of 0 and 1, uint8, (height, width). Raises ValueError if their sizes differ."""
    if not masks:
        raise ValueError("no masks to merge")
    sizes = sorted({mask.shape for mask in masks})
    if len(sizes) > 1:
        raise ValueError("masks of one case differ in size: " + ", ".join(f"{h} x {w}" for h, w in sizes))
    return functools.reduce(np.bitwise_or, masks)


def _decode(path: Path, max_pixels: int) -> np.ndarray:
    """The stored pixels without transparency: (height, width) or (height, width, 3) in OpenCV's order, BGR."""
    path = Path(path)
    content = _content(path)
    width, height = _size_in_header(content, path, max_pixels)
    if width * height > max_pixels:
        raise OSError(f"{path}: {width} x {height} is more than {max_pixels:,} pixels; refused")
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise OSError(f"{path}: cannot be decoded: {error}") from error
    if pixels is None:
        raise OSError(f"{path}: damaged, or an image format that cannot be decoded")
    if pixels.ndim == 3 and pixels.shape[-1] != 3:
        # Two channels are grey and transparency, four are colour and transparency.
        pixels = pixels[..., 0] if pixels.shape[-1] <= 2 else pixels[..., :3]
    return pixels


def _content(path: Path) -> bytes:
    check_file(path)
    # Bytes are read here and not by cv2.imread, which cannot open names outside the code page on Windows.
    return Path(path).read_bytes()


def check_file(path: Path) -> None:
    """Raises OSError for what is no file (a device may never end), or larger than any image within `MAX_PIXELS`."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path}: not a file")
    if status.st_size > _MAX_BYTES:
        raise OSError(f"{path}: larger than {_MAX_BYTES:,} bytes; refused")


def _size_in_header(content: bytes, path: Path, max_pixels: int) -> tuple[int, int]:
    """(width, height) as the header states them, without unpacking a pixel; the checksums of a PNG are verified."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            size = image.size
            if size[0] * size[1] <= max_pixels:
                image.verify()  # OpenCV and libpng would complain on stderr, and decode half an image
            return size
    except Image.DecompressionBombError as error:
        raise OSError(f"{path}: its header states more than {max_pixels:,} pixels; refused") from error
    except UnidentifiedImageError as error:
        raise OSError(f"{path}: not an image") from error
    # A damaged header surfaces as whatever the parser of that format stumbled over.
    except (OSError, ValueError, SyntaxError) as error:
        raise OSError(f"{path}: {error}") from error


def _to_uint8(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        # 65535 = 255 x 257: the ends of the range stay where they are.
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    raise OSError(f"{path}: pixels of type {pixels.dtype}; only 8 and 16 bit integers can be read")
