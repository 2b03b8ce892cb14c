"""Single grey DICOM images, such as mammograms: pixels, the size of a pixel, the window that the file asks for.

Covers uncompressed pixels of 8 or 16 bits. Compressed ones are refused with the command that unpacks them: what they
unpack to is not bounded by what the header states. Does not cover colours and volumes.
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.errors import Problem, UserError
from utils.images.reading import MAX_PIXELS, check_file
from utils.images.windowing import Window, full_window, percentile_window, windowed

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

SUFFIXES = (".dcm", ".dicom")
"""The names of DICOM files, in lower case."""

# What a damaged file makes pydicom stumble over; sequences in sequences without an end are a RecursionError.
_DAMAGED = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, RuntimeError),
    struct.error,
)

_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


@dataclass(frozen=True)
class Header:
    """What a file says of its image. size: (height, width) in pixels. spacing: those of a pixel in mm, or None."""

    size: tuple[int, int]
    spacing: tuple[float, float] | None


def is_dicom(path: Path) -> bool:
    """Whether a file is named like DICOM."""
    return path.suffix.lower() in SUFFIXES


def read_header(path: Path, max_pixels: int = MAX_PIXELS) -> Header:
    """What a file says of its image, without reading pixels. Raises OSError naming the file if it is none of these."""
    with _named(path):
        stored = _opened(path, pixels=False)
        return Header(_checked_size(stored, max_pixels), _spacing(stored))


def spacing_of(path: Path) -> tuple[float, float] | None:
    """`Header.spacing` of a file that may be any; None also for one that is damaged, or no DICOM.

    Where a dataset lists its cases. That a file is damaged is said when it is opened.
    """
    try:
        return read_header(path).spacing if is_dicom(path) else None
    except OSError:
        return None


def read_dicom(path: Path, window: Window = "percentiles", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """uint8, (height, width); bright is bright, also where the file stores its negative (MONOCHROME1).

    window: ``stored`` falls back to ``full`` for a file that asks for none. Raises OSError as `read_header` does.
    """
    with _named(path):
        stored = _opened(path, pixels=True)
        _checked_size(stored, max_pixels)
        pixels = _modality_values(stored)
        grey = windowed(pixels, *_window(stored, pixels, window))
        return 255 - grey if stored.get("PhotometricInterpretation") == "MONOCHROME1" else grey


def read_dicom_mask(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """uint8 of 0 and 1, (height, width): 1 where the stored value is above 0. Raises OSError as `read_header` does."""
    with _named(path):
        stored = _opened(path, pixels=True)
        _checked_size(stored, max_pixels)
        return (stored.pixel_array > 0).astype(np.uint8)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns whatever a damaged file makes pydicom stumble over into an OSError that names it."""
    pydicom = _library()
    try:
        yield
    except (OSError, UserError):
        raise
    except pydicom.errors.InvalidDicomError as error:
        raise OSError(f"{path}: not a DICOM file") from error
    except (*_DAMAGED, pydicom.errors.BytesLengthException) as error:
        raise OSError(f"{path}: damaged, or no DICOM image that can be read: {error}") from error


def _library() -> ModuleType:
    """pydicom, silenced: that an element is odd it says twice, without the name of the file."""
    try:
        # Imported here: it takes a fifth of a second, and few datasets need it.
        import pydicom
    except ImportError as error:
        message = f"DICOM files need the package pydicom (pip install pydicom): {error}"
        raise UserError(Problem("dataset.name", message)) from error
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
    return pydicom


def _opened(path: Path, pixels: bool) -> FileDataset:
    check_file(path)
    # Before the rest is: a deflated file is unpacked as a whole, to whatever size.
    syntax = _library().filereader.read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax is not None and syntax not in _UNCOMPRESSED:
        raise OSError(f"{path}: compressed ({syntax.name}); unpack it first, with: gdcmconv --raw, or dcmconv +te")
    return _library().dcmread(path, stop_before_pixels=not pixels)


def _checked_size(stored: Dataset, max_pixels: int) -> tuple[int, int]:
    height, width = int(stored.Rows), int(stored.Columns)
    if height * width > max_pixels:
        raise ValueError(f"{width} x {height} is more than {max_pixels:,} pixels; refused")
    if int(stored.get("NumberOfFrames") or 1) != 1 or int(stored.get("SamplesPerPixel") or 1) != 1:
        raise ValueError("several frames or colours; only single grey images can be read")
    if int(stored.BitsAllocated) not in (8, 16):
        raise ValueError(f"{stored.BitsAllocated} bits a pixel; only 8 and 16 can be read")
    return height, width


def _spacing(stored: Dataset) -> tuple[float, float] | None:
    """Of the patient where it is known, else at the detector, which magnification makes a little larger."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        values = stored.get(name)
        if values:
            down, across = (float(value) for value in values)
            if 0 < down < np.inf and 0 < across < np.inf:
                return down, across
    return None


def _modality_values(stored: FileDataset) -> np.ndarray:
    pixels = stored.pixel_array
    slope, intercept = float(stored.get("RescaleSlope") or 1), float(stored.get("RescaleIntercept") or 0)
    return pixels if (slope, intercept) == (1, 0) else pixels.astype(np.float32) * slope + intercept


def _window(stored: Dataset, pixels: np.ndarray, window: Window) -> tuple[float, float]:
    if window == "percentiles":
        return percentile_window(pixels)
    centre, width = (_first(stored.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if window == "stored" and centre is not None and width is not None and width > 1:
        # The standard's linear function (PS3.3 C.11.2.1.2): a window of n values has n - 1 steps.
        return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    low, high = full_window(int(stored.get("BitsStored") or stored.BitsAllocated))
    slope, intercept = float(stored.get("RescaleSlope") or 1), float(stored.get("RescaleIntercept") or 0)
    return low * slope + intercept, high * slope + intercept


def _first(value: Any) -> float | None:
    """The first value of an element; a file may ask for one window or for several."""
    values = list(value) if isinstance(value, Sequence) else [value]
    return None if not values or values[0] is None else float(values[0])
