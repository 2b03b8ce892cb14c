"""Images and masks of every kind that datasets hold, and files that are none."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.images.reading import merge_masks, read_image, read_mask

GREY = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)
# Drawn by hand: a lesion of three pixels.
MASK = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]], np.uint8)


def written(path: Path, pixels: np.ndarray) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def in_channels(mask: np.ndarray, channels: int, alpha: int = 255) -> np.ndarray:
    if channels == 1:
        return mask
    colour = np.repeat(mask[..., None], channels, axis=-1)
    if channels == 4:
        colour[..., 3] = alpha
    return colour


@pytest.mark.parametrize("name", ["plain.png", "benign (1).png", "Schilddrüse 甲状腺.png"])
def test_grey_image_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    image = read_image(written(tmp_path / name, GREY))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, GREY)


@pytest.mark.parametrize("channels", [3, 4])
def test_equal_channels_become_grey(tmp_path: Path, channels: int) -> None:
    np.testing.assert_array_equal(read_image(written(tmp_path / "a.png", in_channels(GREY, channels, alpha=7))), GREY)


def test_colours_come_in_the_order_red_green_blue(tmp_path: Path) -> None:
    red_in_bgr = np.zeros((5, 6, 3), np.uint8)
    red_in_bgr[..., 2] = 200
    image = read_image(written(tmp_path / "red.png", red_in_bgr))
    assert image.shape == (5, 6, 3)
    assert image[0, 0].tolist() == [200, 0, 0]


def test_alpha_of_a_colour_image_is_dropped(tmp_path: Path) -> None:
    pixels = np.zeros((5, 6, 4), np.uint8)
    pixels[..., 0] = 90
    image = read_image(written(tmp_path / "blue.png", pixels))
    assert image.shape == (5, 6, 3)
    assert image[0, 0].tolist() == [0, 0, 90]


def test_sixteen_bits_are_scaled_over_the_whole_range(tmp_path: Path) -> None:
    pixels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    assert read_image(written(tmp_path / "deep.png", pixels)).tolist() == [[0, 1, 128, 255]]


def test_pixels_stored_as_floats_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "float.tiff", np.ones((4, 4), np.float32))
    with pytest.raises(OSError, match=r"float\.tiff"):
        read_image(path)


@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_mask_is_read_whatever_its_channels_and_white(tmp_path: Path, channels: int, white: int) -> None:
    mask = read_mask(written(tmp_path / "m.png", in_channels(white * MASK, channels)))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, MASK)


def test_mask_drawn_in_one_colour_counts(tmp_path: Path) -> None:
    colour = np.zeros((*MASK.shape, 3), np.uint8)
    colour[..., 1] = 180 * MASK
    np.testing.assert_array_equal(read_mask(written(tmp_path / "m.png", colour)), MASK)


def test_sixteen_bit_mask_of_ones_is_not_scaled_away(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_mask(written(tmp_path / "m.png", MASK.astype(np.uint16))), MASK)


def test_masks_merge_by_or() -> None:
    first = np.array([[1, 1, 0, 0]], np.uint8)
    second = np.array([[0, 1, 1, 0]], np.uint8)
    merged = merge_masks([first, second])
    assert merged.tolist() == [[1, 1, 1, 0]]
    assert merged.dtype == np.uint8
    assert first.tolist() == [[1, 1, 0, 0]]


def test_masks_of_different_sizes_do_not_merge() -> None:
    with pytest.raises(ValueError, match="2 x 3, 3 x 2"):
        merge_masks([np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)])
    with pytest.raises(ValueError, match="no masks"):
        merge_masks([])


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", None], ids=["empty", "text", "stub", "cut"]
)
def test_unreadable_file_is_an_oserror_naming_it(tmp_path: Path, read, content: bytes | None) -> None:
    path = written(tmp_path / "broken (3).png", np.random.default_rng(0).integers(0, 255, (60, 60), np.uint8))
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(OSError, match=r"broken \(3\)\.png"):
        read(path)


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_missing_file_and_folder_are_oserrors(tmp_path: Path, read) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        read(tmp_path / "nowhere.png")
    with pytest.raises(OSError, match=tmp_path.name):
        read(tmp_path)


def test_image_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    # A few kilobytes that would unpack to 900 megabytes.
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(1000))))
    with pytest.raises(OSError, match=r"bomb\.png"):
        read_image(path)


def test_bound_on_pixels_is_inclusive(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", GREY)
    assert read_image(path, max_pixels=120).size == 120
    with pytest.raises(OSError, match="10 x 12 is more than 119 pixels"):
        read_image(path, max_pixels=119)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255), length=st.integers(0, 10_000))
def test_damaged_files_give_an_image_or_an_oserror(tmp_path_factory, place: int, value: int, length: int) -> None:
    content = bytearray(cv2.imencode(".png", GREY)[1].tobytes())
    content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(content[: length % (2 * len(content))])
    try:
        image = read_image(path)
    except OSError as error:
        assert "damaged.png" in str(error)
    else:
        assert image.dtype == np.uint8 and image.ndim in (2, 3)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
