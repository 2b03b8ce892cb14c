"""Which files are images, and that no result replaces another, or a true mask."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.prediction.images.sources import find_images
from experiments.prediction.images.truth import TrueMasks
from utils.errors import UserError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def stems(*wanted: Path, output: Path) -> dict[str, str]:
    return {source.name: source.stem for source in find_images([str(path) for path in wanted], output).sources}


def test_a_folder_is_searched_with_all_below_and_masks_are_no_images(tmp_path: Path) -> None:
    data = tmp_path / "data"
    touch(data, "a/x.png", "a/x_mask.png", "a/x_mask_1.png", "b/x.png", "b/y.dcm", ".hidden.png", "b/notes.txt")
    touch(data, "b/lonely_mask.png")
    found = find_images([str(data)], tmp_path / "out")
    assert [source.name for source in found.sources] == ["a/x.png", "b/lonely_mask.png", "b/x.png", "b/y.dcm"]
    assert found.left_out == 2


def test_a_pattern_and_files_named_alone_are_found_once(tmp_path: Path) -> None:
    touch(tmp_path, "p (1).png", "p (1)_mask.png", "q.png", "r.txt")
    both = stems(tmp_path / "*.png", tmp_path / "q.png", tmp_path / "." / "q.png", output=tmp_path / "out")
    assert both == {"p (1).png": "p (1)", "q.png": "q"}
    named = stems(tmp_path / "p (1)_mask.png", output=tmp_path / "out")
    assert named == {"p (1)_mask.png": "p (1)_mask"}, "who names a mask wants it"


def test_no_two_images_share_a_stem(tmp_path: Path) -> None:
    touch(tmp_path, "x.png", "x.jpg", "x.png.tif", "deep/x.png")
    found = stems(tmp_path, output=tmp_path / "out")
    assert found == {"x.png": "x.png", "x.jpg": "x.jpg", "x.png.tif": "x.png.tif", "deep/x.png": "deep/x"}


def test_results_of_earlier_commands_are_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "x.png", "first/predictions.csv", "first/x_mask.png", "first/deep/y_mask.png", "out/x_mask.png")
    assert stems(tmp_path, output=tmp_path / "out") == {"x.png": "x"}


def test_results_beside_the_images_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "data/a/x.png", "data/b/x.png")
    for output in (tmp_path / "data", tmp_path / "data" / "a" / ".." / "."):
        with pytest.raises(UserError, match="beside the images"):
            find_images([str(tmp_path / "data")], output)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("imges", "did you mean"), ("none*.png", "matches no image"), ("empty", "holds no image")],
)
def test_what_holds_no_image_is_said(tmp_path: Path, wanted: str, message: str) -> None:
    touch(tmp_path, "images/x.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        find_images([str(tmp_path / wanted)], tmp_path / "out")


def test_true_masks_are_found_by_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "data/x.png", "data/x_mask.png", "data/x_mask_1.png", "data/y.png")
    touch(tmp_path, "skin/images/s.jpg", "skin/masks/s_segmentation.png")
    touch(tmp_path, "truth/y.png", "nested/deep/y_mask.png", "nested/x_mask.png")
    x, y = find_images([str(tmp_path / "data")], tmp_path / "out").sources
    [skin] = find_images([str(tmp_path / "skin" / "images")], tmp_path / "out").sources

    def names(masks: TrueMasks, source: object) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in masks.of(source)]  # type: ignore[arg-type]

    beside = TrueMasks()
    assert names(beside, x) == ["data/x_mask.png", "data/x_mask_1.png"] and names(beside, y) == []
    assert names(beside, skin) == ["skin/masks/s_segmentation.png"]
    assert names(TrueMasks(tmp_path / "truth"), y) == ["truth/y.png"] and names(TrueMasks(tmp_path / "truth"), x) == []
    nested = TrueMasks(tmp_path / "nested")
    assert names(nested, y) == ["nested/deep/y_mask.png"] and names(nested, x) == ["nested/x_mask.png"]


def test_of_two_masks_of_one_name_in_other_folders_neither_is_guessed(tmp_path: Path) -> None:
    touch(tmp_path, "data/y.png", "truth/a/y.png", "truth/b/y.png")
    [y] = find_images([str(tmp_path / "data")], tmp_path / "out").sources
    assert TrueMasks(tmp_path / "truth").of(y) == []


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    for folder, message in ((tmp_path, "holds no mask"), (tmp_path / "none", "no such folder")):
        with pytest.raises(UserError, match=message):
            TrueMasks(folder)
