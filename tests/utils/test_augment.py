"""Offline copies: masks move with their images, groups are kept, and a run is all or nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.augment import Recipe, augment, copies_of, main
from utils.datasets import DATASETS
from utils.datasets.manifest import Manifest
from utils.datasets.miniatures import write_miniature
from utils.errors import UserError
from utils.splits.audit import audit
from utils.splits.folds import make_split


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature("manifest", tmp_path_factory.mktemp("augment") / "data", 9)


@pytest.fixture(scope="module")
def augmented(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("augment") / "augmented"
    assert main(["manifest", str(root), str(output), "--copies", "2"]) == 0
    return output


@st.composite
def lesions(draw: st.DrawFn) -> np.ndarray:
    """A mask with a rectangle somewhere, or with nothing."""
    height, width = draw(st.integers(9, 40)), draw(st.integers(9, 40))
    mask = np.zeros((height, width), np.uint8)
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : top + draw(st.integers(0, 30)), left : left + draw(st.integers(1, 30))] = 1
    return mask


# Of a rectangle of 200 on 20, in the worst place: half a pixel off, in one direction beside an edge and in both at a
# corner, and OpenCV rounds places to 1/32 of a pixel, once for the image and once for the mask. In 30,000 rotations of
# one pixel 55 was the least inside the mask, in 6,000 of rectangles 110 the most outside.
OFF = 1 / 2 - 2 / 32
LEAST_INSIDE, MOST_OUTSIDE = math.floor(20 + 180 * OFF**2), math.ceil(200 - 180 * OFF)


@settings(max_examples=40, deadline=None)
@given(lesions(), st.integers(0, 2**40), st.sampled_from([0.3, 0.5, 0.8]))
def test_masks_move_with_their_images_and_no_lesion_is_lost(mask: np.ndarray, seed: int, share: float) -> None:
    image = np.where(mask > 0, 200, 20).astype(np.uint8)
    recipe = Recipe(copies=2, seed=seed, share=share)
    for copy in copies_of("case", image, mask, recipe):
        assert copy.image.shape == copy.mask.shape
        assert copy.mask.any() == mask.any()
        if copy.name.startswith("rotate"):  # pixels are interpolated, masks are not
            assert copy.image[copy.mask > 0].min(initial=255) >= LEAST_INSIDE
            assert copy.image[copy.mask == 0].max(initial=0) <= MOST_OUTSIDE
        else:
            np.testing.assert_array_equal(copy.image > 100, copy.mask > 0)
        if copy.name.startswith("crop"):
            expected = tuple(max(1, round(share * side)) for side in mask.shape)
            assert copy.mask.shape == expected
            fits = all(
                np.ptp(np.flatnonzero(mask.any(axis=1 - axis))) < expected[axis] for axis in (0, 1) if mask.any()
            )
            assert not fits or copy.mask.sum() == mask.sum()


def test_colours_are_moved_too() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    found = {copy.name: copy.image for copy in copies_of("case", image, np.ones((12, 16), np.uint8), Recipe())}
    assert list(found) == ["flip", "rotate-1", "crop-1"]
    np.testing.assert_array_equal(found["flip"], image[:, ::-1])
    assert found["crop-1"].shape == (10, 13, 3)


def test_copies_keep_group_label_split_and_source(root: Path, augmented: Path) -> None:
    originals = {case.id: case for case in Manifest(root).cases()}
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for case in Manifest(augmented).cases():
        original = originals[case.id.partition(" ")[0]]
        assert (case.label, case.group, dict(case.attributes)) == (
            original.label,
            original.group,
            dict(original.attributes),
        )
        # The pixels of this miniature are not square.
        assert case.spacing == (None if "rotate" in case.id else original.spacing)
        copies[original.id].append(case.id.partition(" ")[2])
    assert set(copies) == set(originals)
    assert set(map(tuple, copies.values())) == {("", "crop-1", "crop-2", "flip", "rotate-1", "rotate-2")}


def test_what_was_written_is_the_image_itself_and_sound(root: Path, augmented: Path) -> None:
    before, after = Manifest(root), Manifest(augmented)
    for case in before.cases()[::4]:
        same = next(other for other in after.cases() if other.id == case.id)
        np.testing.assert_array_equal(after.read_image(same), before.read_image(case))
        np.testing.assert_array_equal(after.read_mask(same), before.read_mask(case))
    assert audit(after, workers=1).errors == ()


def test_no_fold_separates_a_copy_from_its_original(augmented: Path) -> None:
    cases = Manifest(augmented).cases()
    groups = {case.id: case.group or "" for case in cases}
    split = make_split([case.id for case in cases], ["all"] * len(cases), groups, k=3, seed=1, validation=0.3)
    for fold in split.folds:
        originals = [{case.partition(" ")[0] for case in part} for part in fold.parts().values()]
        assert sum(map(len, originals)) == len(set.union(*originals)) == 18


def test_where_nobody_tells_a_patient_the_original_is_the_group(tmp_path: Path) -> None:
    dataset = DATASETS["phantom"](cases=6, height=64, width=64)
    assert augment(dataset, tmp_path / "out", Recipe(("flip",))) == (6, 6)
    assert {case.group for case in Manifest(tmp_path / "out").cases()} == {case.id for case in dataset.cases()}


def test_the_same_seed_makes_the_same_files(root: Path, augmented: Path, tmp_path: Path) -> None:
    augment(Manifest(root), tmp_path / "again", Recipe(copies=2))
    for path in sorted(augmented.rglob("*.*")):
        assert (tmp_path / "again" / path.relative_to(augmented)).read_bytes() == path.read_bytes()
    (case, *_) = Manifest(root).cases()
    image, mask = Manifest(root).read_image(case), Manifest(root).read_mask(case)
    first, other = (list(copies_of(case.id, image, mask, Recipe(seed=seed)))[1].image for seed in (1, 2))
    assert not np.array_equal(first, other)


def test_what_cannot_be_read_stops_it_and_leaves_nothing(tmp_path: Path) -> None:
    root = write_miniature("manifest", tmp_path / "data", 3)
    broken = sorted((root / "images").iterdir())[:2]
    for path in broken:
        path.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        augment(Manifest(root), tmp_path / "out", Recipe())
    assert [problem.where for problem in caught.value.problems] == [f"images/{path.stem}" for path in broken]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert augment(Manifest(root), tmp_path / "out", Recipe(("flip",)), skip_errors=True) == (4, 4)


def test_a_case_named_like_a_copy_is_told_and_not_overwritten(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "data" / "manifest.csv"
    table.parent.mkdir()
    (table.parent / "a.png").write_bytes(min((root / "images").iterdir()).read_bytes())
    table.write_text("case,image,label\none,a.png,normal\none flip,a.png,normal\n")
    with pytest.raises(UserError, match="the name that the copy of another would get"):
        augment(Manifest(table), tmp_path / "out", Recipe())
    assert not (tmp_path / "out").exists()


def test_strange_names_stay_in_the_folder(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "data" / "manifest.csv"
    table.parent.mkdir()
    image = sorted((root / "images").iterdir())[0]
    (table.parent / "a.png").write_bytes(image.read_bytes())
    table.write_text("case,image,label\n../../up,a.png,normal\n/etc/x,a.png,normal\n")
    augment(Manifest(table), tmp_path / "out", Recipe(("flip",)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]
    assert {case.id for case in Manifest(tmp_path / "out").cases()} >= {"../../up", "/etc/x flip"}


def test_the_command_says_what_is_wrong(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    said = {
        ("manifes", str(root), out): "did you mean 'manifest'?",
        ("manifest", str(tmp_path / "none"), out): "no such folder",
        ("manifest", str(root), str(root)): "there is something already",
        ("manifest", str(root), out, "--copies", "0"): "--copies: must be 1 to 1000",
        ("manifest", str(root), out, "--share", "1"): "--share: must lie between",
        ("manifest", str(root), out, "--degrees", "nan"): "--degrees: must be above 0",
        ("manifest", str(root), out, "--options", "{"): "--options: must be JSON",
        ("manifest", str(root), out, "--options", "[]"): "--options: must be a mapping",
        ("manifest", str(root), out, "--options", '{"fil": "x"}'): "dataset.options.fil: no such option; did you mean",
    }
    for arguments, says in said.items():
        assert main(arguments) == 2
        assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
