"""Stained tiles: nuclei numbered by value or colour, slides as groups, folders by the names that a set gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from utils.datasets.histology.nuclei import Nuclei
from utils.datasets.histology.oral_epithelium import IMAGES, MASKS, OralEpithelium
from utils.datasets.histology.tiles import GRADES
from utils.datasets.miniatures.files import write_image
from utils.errors import UserError

TILE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
# Two nuclei that touch, and one apart.
NUMBERS = np.array([[0, 1, 1, 2, 2, 0, 0, 0]] * 3 + [[0, 0, 0, 0, 0, 0, 7, 7]] * 3)
Folder = Callable[[str], Path]


def nuclei(root: Path, labels: np.ndarray, classes: tuple[str, ...] = ("mild", "severe")) -> Nuclei:
    for number, label in enumerate(classes):
        write_image(root / label / "images" / "S1_tile_0.png", np.roll(TILE, number))
        write_image(root / label / "labels" / "S1_tile_0.png", labels)
    return Nuclei(root, classes=classes)


def in_colours(numbers: np.ndarray) -> np.ndarray:
    """Colours that differ in one channel alone, so that grey would mix them up."""
    colours = np.zeros((*numbers.shape, 3), np.uint8)
    for number, colour in {1: (200, 10, 10), 2: (10, 200, 10), 7: (10, 10, 200)}.items():
        colours[numbers == number] = colour
    return colours


@pytest.mark.parametrize(
    "labels",
    [NUMBERS.astype(np.uint8), (1000 * NUMBERS).astype(np.uint16), in_colours(NUMBERS)],
    ids=["8 bits", "16 bits", "colours"],
)
def test_nuclei_that_touch_are_told_apart(tmp_path: Path, labels: np.ndarray) -> None:
    dataset = nuclei(tmp_path, labels)
    instances = dataset.read_instances(dataset.cases()[0])
    assert instances.dtype == np.int32
    pairs = set(zip(NUMBERS.ravel().tolist(), instances.ravel().tolist(), strict=True))
    assert len(pairs) == len({number for _, number in pairs}) == 4 and (0, 0) in pairs
    np.testing.assert_array_equal(dataset.read_mask(dataset.cases()[0]), NUMBERS > 0)


@pytest.mark.parametrize("white", [1, 255])
def test_a_mask_of_one_value_is_told_apart_by_what_touches(tmp_path: Path, white: int) -> None:
    dataset = nuclei(tmp_path, (white * (NUMBERS > 0)).astype(np.uint8))
    instances = dataset.read_instances(dataset.cases()[0])
    assert instances.max() == 2 and len(set(instances[NUMBERS > 0].tolist())) == 2


def test_a_tile_full_of_nuclei_has_no_background(tmp_path: Path) -> None:
    dataset = nuclei(tmp_path, np.repeat([[3, 3, 3, 3, 9, 9, 9, 9]], 6, axis=0).astype(np.uint8))
    assert sorted(set(dataset.read_instances(dataset.cases()[0]).ravel().tolist())) == [1, 2]


def test_a_slide_is_a_group_in_all_classes(tmp_path: Path) -> None:
    assert [case.group for case in nuclei(tmp_path, NUMBERS.astype(np.uint8)).cases()] == ["S1", "S1"]
    with pytest.raises(UserError, match=r"dataset\.options\.slide: does not match the name 'S1_tile_0'"):
        Nuclei(tmp_path, classes=("mild", "severe"), slide="^(X[0-9]+)").cases()


def test_folders_of_another_set_are_named_in_the_options(tmp_path: Path) -> None:
    for organ in ("human bladder", "mouse liver"):
        write_image(tmp_path / organ / "tissue images" / f"{organ}_01.png", TILE)
        write_image(tmp_path / organ / "label masks" / f"{organ}_01.tif", NUMBERS.astype(np.uint16))
    options = {"classes": ["human bladder", "mouse liver"], "images": "tissue images", "labels": "label masks"}
    dataset = Nuclei(tmp_path, **options, slide="^(.+)_[0-9]+$")
    assert [case.group for case in dataset.cases()] == ["human bladder", "mouse liver"]
    assert dataset.read_instances(dataset.cases()[0]).max() == 3
    with pytest.raises(UserError, match="not laid out like Nuclei: no healthy/images, healthy/labels, mild/images"):
        Nuclei(tmp_path).cases()


def test_a_tile_without_labels_and_labels_without_a_tile(tmp_path: Path) -> None:
    dataset = nuclei(tmp_path, NUMBERS.astype(np.uint8))
    label = tmp_path / "mild" / "labels" / "S1_tile_0.png"
    orphan = label.rename(label.with_name("S1_tile_9.png"))
    assert dataset.orphan_masks() == [orphan]
    for read in (dataset.read_mask, dataset.read_instances):
        with pytest.raises(FileNotFoundError, match=r"mild/labels/S1_tile_0\.png: missing"):
            read(dataset.cases()[0])


def test_slides_of_oral_epithelium_are_in_the_names(miniature: Folder) -> None:
    cases = OralEpithelium(miniature("oral_epithelium")).cases()
    assert {case.label for case in cases} == set(GRADES)
    assert all(case.group == case.id.partition("/")[2].rpartition("-roi")[0] for case in cases)


def test_semantic_masks_of_oral_epithelium_show_the_same_pixels(miniature: Folder) -> None:
    root = miniature("oral_epithelium")
    instance, semantic = OralEpithelium(root), OralEpithelium(root, masks="semantic")
    for one, other in list(zip(instance.cases(), semantic.cases(), strict=True))[::5]:
        assert one.masks != other.masks
        np.testing.assert_array_equal(instance.read_mask(one), semantic.read_mask(other))


def test_a_grade_that_is_missing_is_named(copied: Folder) -> None:
    root = copied("oral_epithelium")
    place = root / "OralEpitheliumDB"
    (place / MASKS["instance"] / "mild").rename(place / "elsewhere")
    with pytest.raises(UserError, match="not laid out like OralEpithelium: no "):
        OralEpithelium(root).cases()
    with pytest.raises(UserError, match=f"no {MASKS['instance']}/mild\\. Expected"):
        OralEpithelium(place).cases()
    assert OralEpithelium(place, masks="semantic").cases()
    assert (place / IMAGES).is_dir()
