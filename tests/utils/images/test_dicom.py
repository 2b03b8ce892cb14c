"""DICOM images: their window, negative, spacing, and everything that is refused."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from utils.datasets.miniatures.files import write_dicom
from utils.images.dicom import read_dicom, read_dicom_mask, read_header, spacing_of

RAMP = np.arange(200, dtype=np.uint16).reshape(10, 20) * 20


def written(folder: Path, pixels: np.ndarray = RAMP, **elements: object) -> Path:
    write_dicom(folder / "a.dcm", pixels, **elements)
    return folder / "a.dcm"


def test_the_full_window_is_that_of_the_bits_stored(tmp_path: Path) -> None:
    path = written(tmp_path, BitsStored=12, HighBit=11)
    expected = np.rint(RAMP * (255 / 4095)).astype(np.uint8)
    np.testing.assert_array_equal(read_dicom(path, "full"), expected)


def test_the_stored_window_is_the_standards_linear_function(tmp_path: Path) -> None:
    path = written(tmp_path, WindowCenter=2000, WindowWidth=1001)
    image = read_dicom(path, "stored")
    assert image[RAMP <= 1499].max() == 0 and image[RAMP >= 2500].min() == 255
    inside = (RAMP > 1499) & (RAMP < 2500)
    expected = ((RAMP[inside] - 1999.5) / 1000 + 0.5) * 255  # PS3.3 C.11.2.1.2.1
    assert np.abs(image[inside] - expected).max() <= 0.5


def test_the_first_of_several_windows_counts_and_none_is_the_full_one(tmp_path: Path) -> None:
    one = read_dicom(written(tmp_path, WindowCenter=2000, WindowWidth=1001), "stored")
    two = read_dicom(written(tmp_path, WindowCenter=[2000, 9], WindowWidth=[1001, 5]), "stored")
    np.testing.assert_array_equal(one, two)
    without = written(tmp_path)
    np.testing.assert_array_equal(read_dicom(without, "stored"), read_dicom(without, "full"))


def test_a_negative_is_turned_round(tmp_path: Path) -> None:
    positive = read_dicom(written(tmp_path), "full")
    negative = read_dicom(written(tmp_path, PhotometricInterpretation="MONOCHROME1"), "full")
    np.testing.assert_array_equal(negative, 255 - positive)


def test_rescaled_values_meet_the_window_in_their_own_units(tmp_path: Path) -> None:
    plain = read_dicom(written(tmp_path, WindowCenter=2000, WindowWidth=1001), "stored")
    rescaled = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    # 2 v - 1000 runs through 2001 and 4001 where v runs through 1500.5 and 2500.5.
    image = read_dicom(written(tmp_path, WindowCenter=2999, WindowWidth=2001, **rescaled), "stored")
    assert np.abs(image.astype(int) - plain).max() <= 1
    assert np.array_equal(read_dicom(written(tmp_path, **rescaled), "full"), read_dicom(written(tmp_path), "full"))


def test_spacing_is_of_the_patient_or_else_of_the_detector(tmp_path: Path) -> None:
    assert read_header(written(tmp_path)).spacing is None
    assert read_header(written(tmp_path, ImagerPixelSpacing=[0.07, 0.08])).spacing == (0.07, 0.08)
    both = written(tmp_path, ImagerPixelSpacing=[0.07, 0.08], PixelSpacing=[0.05, 0.06])
    assert read_header(both).spacing == (0.05, 0.06) and read_header(both).size == (10, 20)
    assert read_header(written(tmp_path, PixelSpacing=[0, 0.1])).spacing is None
    both.write_bytes(both.read_bytes()[:200])
    assert spacing_of(both) is None and spacing_of(tmp_path / "none.dcm") is None and spacing_of(tmp_path) is None


def test_a_mask_is_what_is_not_black(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2:4] = (255, 1)
    np.testing.assert_array_equal(read_dicom_mask(written(tmp_path, mask)), mask > 0)


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"Rows": 10_000, "Columns": 10_000}, "10000 x 10000 is more than 67,108,864 pixels; refused"),
        ({"Rows": 20}, "damaged, or no DICOM image"),
        ({"NumberOfFrames": 3}, "several frames or colours"),
        ({"SamplesPerPixel": 3}, "several frames or colours"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "32 bits a pixel"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name(tmp_path: Path, elements: dict[str, int], says: str) -> None:
    path = written(tmp_path, **elements)
    for read in (read_dicom, read_dicom_mask):
        with pytest.raises(OSError, match=r"a\.dcm: ") as caught:
            read(path)
        assert says in str(caught.value)


@pytest.mark.parametrize("length", [0, 3, 131, 132, 140, 300, 500, 700])
def test_a_file_that_was_cut_off_is_an_oserror(tmp_path: Path, length: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    for read in (read_dicom, read_dicom_mask):
        with pytest.raises(OSError, match=r"a\.dcm"):
            read(path)


def test_what_is_no_dicom_is_an_oserror(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    for content in (b"no picture", bytes(1000), b"\x89PNG\r\n\x1a\n" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(OSError, match="not a DICOM file"):
            read_header(path)
    with pytest.raises(OSError, match="not a file"):
        read_dicom(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_dicom(tmp_path / "none.dcm")


def test_a_deflated_bomb_is_refused_unpacked_by_nobody(tmp_path: Path) -> None:
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    path = written(tmp_path)
    content = path.read_bytes()
    explicit, deflated = b"1.2.840.10008.1.2.1\0", str(DeflatedExplicitVRLittleEndian).encode()
    head, found, _ = content.partition(explicit)
    assert found and len(deflated) == 22
    # The element and its group are two bytes longer.
    head = head[:-2] + (22).to_bytes(2, "little")
    group = head.index(b"\x02\0\0\0UL\x04\0") + 8
    length = int.from_bytes(head[group : group + 4], "little") + 2
    head = head[:group] + length.to_bytes(4, "little") + head[group + 4 :]
    rest = content.partition(explicit)[2]
    meta_end = group + 4 + length
    meta = (head + deflated + rest)[:meta_end]
    path.write_bytes(meta + zlib.compress(bytes(50 * 2**20))[2:-4])
    with pytest.raises(OSError, match=r"compressed .Deflated.*unpack it first"):
        read_header(path)


def test_flipped_bytes_are_an_image_or_an_oserror(tmp_path: Path) -> None:
    path = written(tmp_path, PixelSpacing=[0.1, 0.1])
    content = path.read_bytes()
    random = np.random.default_rng(3)
    outcomes = set()
    for _ in range(150):
        place = int(random.integers(132, len(content) - RAMP.nbytes))
        path.write_bytes(content[:place] + bytes([int(random.integers(256))]) + content[place + 1 :])
        try:
            assert read_dicom(path).ndim == 2
            outcomes.add("image")
        except OSError as error:
            assert "a.dcm" in str(error)
            outcomes.add("refused")
    assert outcomes == {"image", "refused"}
