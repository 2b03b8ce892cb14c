"""Pictures for miniatures, and files to put them into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from utils.files import write_atomically, write_text_atomically
from utils.identity import derive_seed
from utils.images.phantoms import phantom

_HEIGHT, _WIDTH = 72, 80


def picture(label: str, seed: int, *of: str | int) -> tuple[np.ndarray, np.ndarray]:
    """A phantom and its mask of 0 and 1, uint8, some 72 x 80 pixels. of: what it shows, as for `derive_seed`."""
    return phantom(label, derive_seed("miniature", seed, *of), _HEIGHT, _WIDTH)


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Writes RGB or grey pixels in the format of the name's suffix."""
    encoded = cv2.imencode(path.suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()
    write_atomically(path, lambda file: file.write(encoded))


def write_lines(path: Path, *lines: str) -> None:
    """Writes lines of text."""
    write_text_atomically(path, "".join(f"{line}\n" for line in lines))


def write_dicom(path: Path, pixels: np.ndarray, **elements: Any) -> None:
    """Writes uncompressed grey pixels, uint8 or uint16. elements: others by keyword, such as PixelSpacing."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    stored = FileDataset(path.name, {}, file_meta=meta, preamble=bytes(128))
    stored.SOPClassUID, stored.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    stored.Modality = "MG"
    stored.Rows, stored.Columns = pixels.shape
    stored.SamplesPerPixel, stored.PixelRepresentation = 1, 0
    stored.PhotometricInterpretation = "MONOCHROME2"
    stored.BitsAllocated = stored.BitsStored = 8 * pixels.itemsize
    stored.HighBit = stored.BitsStored - 1
    stored.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(stored, name, value)
    write_atomically(path, lambda file: stored.save_as(file, enforce_file_format=True))
