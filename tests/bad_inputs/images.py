"""Images and masks that are none, that do not belong together, or that would fill the memory."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from tests.bad_inputs.bad_input import BadInputs, Make, Says, sweep
from tests.bad_inputs.data import CLASSES, SWEEP, image, mask, write

# The report on the data is what such a command is for: it says in a table what the messages say.
bad = BadInputs("s_audit.csv")

_IMAGE = "benign/benign (1) (data/benign/benign (1).png)"
_MASK = "benign/benign (1) (data/benign/benign (1)_mask.png)"


def _replaced(content: bytes, *says: Says, of_mask: bool = False) -> tuple[Make, tuple[Says, ...]]:
    def make(folder: Path) -> None:
        (mask(folder) if of_mask else image(folder)).write_bytes(content)
        sweep(folder, SWEEP)

    return make, says


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG of grey pixels whose header states this size, and which holds the rows of one line."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = _chunk(b"IDAT", zlib.compress(bytes(32 * 33)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + b"".join(chunks) + pixels + _chunk(b"IEND", b"")


def _tiff(width: int, height: int) -> bytes:
    """A TIFF of one grey strip whose header states this size."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 64)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4 + 64)


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    return bytes(cv2.imencode(kind, pixels)[1].tobytes())


_GREY = np.random.default_rng(2).integers(0, 256, (32, 32), dtype=np.uint8)
_WHOLE = _encoded(_GREY, ".png")
_REFUSED = "more than 67,108,864 pixels; refused (unreadable_image)"

for _name, (_make, _says) in {
    "image_of_nothing": _replaced(b"", (_IMAGE, "not an image (unreadable_image)")),
    "image_of_text": _replaced(b"no picture\n", (_IMAGE, "not an image (unreadable_image)")),
    "image_cut_in_its_header": _replaced(_WHOLE[:20], (_IMAGE, "(unreadable_image)")),
    "image_cut_in_the_middle": _replaced(_WHOLE[: len(_WHOLE) // 2], (_IMAGE, "(unreadable_image)")),
    "image_cut_near_its_end": _replaced(_WHOLE[:-40], (_IMAGE, "(unreadable_image)")),
    "image_with_a_flipped_byte": _replaced(
        _WHOLE[:500] + bytes([_WHOLE[500] ^ 255]) + _WHOLE[501:], (_IMAGE, "(unreadable_image)")
    ),
    "jpeg_cut_in_the_middle": _replaced(_encoded(_GREY, ".jpg")[:600], (_IMAGE, "(unreadable_image)")),
    "image_of_floats": _replaced(_encoded(_GREY.astype(np.float32), ".tiff"), (_IMAGE, "pixels of type float32")),
    "image_of_32_bits": _replaced(_encoded(_GREY.astype(np.int32), ".tiff"), (_IMAGE, "pixels of type int32")),
    "image_that_claims_60000_x_60000": _replaced(_png(60_000, 60_000), (_IMAGE, "header states", _REFUSED)),
    "image_that_claims_10000_x_10000": _replaced(_png(10_000, 10_000), (_IMAGE, "10000 x 10000", _REFUSED)),
    "image_that_claims_two_milliards_of_rows": _replaced(_png(1, 2**31 - 1), (_IMAGE, "(unreadable_image)")),
    "image_of_no_size": _replaced(_png(0, 32), (_IMAGE, "(unreadable_image)")),
    "tiff_that_claims_60000_x_60000": _replaced(_tiff(60_000, 60_000), (_IMAGE, "header states", _REFUSED)),
    "tiff_that_claims_two_milliards_of_rows": _replaced(_tiff(4, 2**31 - 1), (_IMAGE, "(unreadable_image)")),
    "image_with_a_bomb_of_text": _replaced(
        _png(32, 32, _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 * 2**20)))), (_IMAGE, "(unreadable_image)")
    ),
    "mask_that_claims_60000_x_60000": _replaced(
        _png(60_000, 60_000),
        (_MASK, "header states more than 67,108,864 pixels; refused (unreadable_mask)"),
        of_mask=True,
    ),
    "mask_of_text": _replaced(b"no picture", (_MASK, "not an image (unreadable_mask)"), of_mask=True),
    "mask_cut_in_the_middle": _replaced(_WHOLE[:600], (_MASK, "(unreadable_mask)"), of_mask=True),
    "mask_of_another_size": _replaced(
        _encoded(_GREY[:16], ".png"), (_MASK, "the mask is 32x16 pixels, its image 32x32"), of_mask=True
    ),
    "mask_of_a_lesion_without_one": _replaced(
        _encoded(_GREY * 0, ".png"), (_MASK, "must show a lesion; it is empty"), of_mask=True
    ),
}.items():
    bad.add(_name, _make, *_says)


@bad(("benign/benign (1)", "benign (1)_mask_1.png", "differ in size: 16 x 32, 32 x 32 (mask_size_mismatch)"))
def masks_of_two_sizes(folder: Path) -> None:
    write(image(folder).with_name("benign (1)_mask_1.png"), np.ones((16, 32), np.uint8))
    sweep(folder, SWEEP)


@bad((_IMAGE, "there is no mask file for this image (missing_mask)"))
def mask_that_is_missing(folder: Path) -> None:
    mask(folder).unlink()
    sweep(folder, SWEEP)


@bad(("benign/benign (1), malignant/malignant (1)", "the same image under 2 labels: benign, malignant"))
def image_under_two_labels(folder: Path) -> None:
    shutil.copy(image(folder), image(folder, "malignant"))
    sweep(folder, SWEEP)


@bad(("dataset.root", "the same name as", "rename or remove one of them", "benign (1).png"))
def images_of_one_name(folder: Path) -> None:
    shutil.copy(image(folder), image(folder).with_suffix(".PNG"))
    sweep(folder, SWEEP)


@bad(
    (_IMAGE, "not an image (unreadable_image)"),
    ("malignant/malignant (2)", "(missing_mask)"),
    ("normal/normal (3)", "the mask is 16x32 pixels, its image 32x32 (mask_size_mismatch)"),
)
def three_damaged_cases(folder: Path) -> None:
    image(folder).write_bytes(b"")
    mask(folder, "malignant", 2).unlink()
    write(mask(folder, "normal", 3), np.zeros((32, 16), np.uint8))
    sweep(folder, SWEEP)


@bad(
    *[
        (f"{label}/{label} ({number}) ", "not an image", kind)
        for label in CLASSES
        for number in range(1, 7)
        for kind in ("(unreadable_image)", "(unreadable_mask)")
    ]
)
def every_file_is_empty(folder: Path) -> None:
    for path in (folder / "data").rglob("*.png"):
        path.write_bytes(b"")
    sweep(folder, SWEEP)


def _linked(*places: Path, to: str) -> None:
    for place in places:
        place.unlink()
        place.symlink_to(to)


@bad((_MASK, "outside", "dataset.root", "(unreadable_mask)"))
def mask_that_is_a_link_to_elsewhere(folder: Path) -> None:
    _linked(mask(folder), to="../../../outside/picture.png")
    sweep(folder, SWEEP)


@bad((_IMAGE, "outside", "dataset.root", "(unreadable_image)"))
def image_that_is_a_link_to_elsewhere(folder: Path) -> None:
    _linked(image(folder), to=str(folder.parent / "outside" / "picture.png"))
    sweep(folder, SWEEP)


@bad(("dataset.root", "normal/ leads to", "outside", "put the folder itself there", "got 'data'"))
def class_folder_that_is_a_link_to_elsewhere(folder: Path) -> None:
    place = folder.parent / "outside" / "normal"
    (folder / "data" / "normal").rename(place)
    (folder / "data" / "normal").symlink_to(place)
    sweep(folder, SWEEP)


@bad((_MASK, "the mask file does not exist (missing_mask)"))
def mask_that_is_a_link_to_itself(folder: Path) -> None:
    _linked(mask(folder), to=mask(folder).name)
    sweep(folder, SWEEP)


@bad((_IMAGE, "(unreadable_image)"))
def image_that_is_a_link_to_what_never_ends(folder: Path) -> None:
    _linked(image(folder), to="/dev/zero")
    sweep(folder, SWEEP)


@bad((_IMAGE, "(unreadable_image)"))
def image_that_is_a_link_to_nothing(folder: Path) -> None:
    _linked(image(folder), to="../annex/4711.png")
    sweep(folder, SWEEP)
