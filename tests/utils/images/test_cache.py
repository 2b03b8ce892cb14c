from __future__ import annotations

import fcntl
import json
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.datasets.busi import Busi
from utils.datasets.case import Case
from utils.errors import UserError
from utils.identity import digest, file_digest
from utils.images.cache import ImageCache, build_cache, cache_key
from utils.images.preprocessing import preprocess
from utils.images.reading import read_image, read_mask
from utils.images.resizing import resize_image, resize_mask

REPOSITORY = Path(__file__).parents[3]
BUSI_MINI = REPOSITORY / "../shared/data/busi_mini"
PARTS: list[tuple[str, dict[str, Any]]] = [("median", {}), ("clahe", {"tiles": 4})]
SIZE = (24, 32)


class Made:
    """A dataset whose arrays are given."""

    classes = ("one", "two")
    lesion_classes = ("one", "two")

    def __init__(self, arrays: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        self.arrays = arrays

    def cases(self) -> list[Case]:
        return [Case(id_, self.classes[index % 2]) for index, id_ in enumerate(sorted(self.arrays))]

    def read_image(self, case: Case) -> np.ndarray:
        return self.arrays[case.id][0]

    def read_mask(self, case: Case) -> np.ndarray:
        return self.arrays[case.id][1]

    def content(self, case: Case) -> str:
        return digest([array.tolist() for array in self.arrays[case.id]] + [case.label])


def made(count: int = 9, rgb: tuple[int, ...] = ()) -> Made:
    arrays = {}
    for index in range(count):
        rng = np.random.default_rng(index)
        shape = (30 + 3 * index, 61 - 5 * index)
        image = cv2.GaussianBlur(rng.integers(0, 256, (*shape, 3), np.uint8), (0, 0), 2)
        mask = (cv2.GaussianBlur(rng.random(shape), (0, 0), 4) > 0.5).astype(np.uint8)
        arrays[f"case {index}"] = (image if index in rgb else image[..., 0].copy(), mask)
    return Made(arrays)


def build(folder: Path, dataset: Made | None = None, **options: Any) -> Path:
    dataset = dataset or made()
    return build_cache(dataset, dataset.cases(), PARTS, SIZE, folder, **options)


def assert_sound(path: Path, dataset: Made | None = None) -> None:
    """What is in the cache is what a reader without a cache would compute."""
    dataset = dataset or made()
    cache = ImageCache(path)
    assert cache.ids == tuple(case.id for case in dataset.cases())
    for case in dataset.cases():
        position = cache.index(case.id)
        image, mask = dataset.read_image(case), dataset.read_mask(case)
        expected = resize_image(preprocess(image, PARTS), SIZE)
        if cache.images.ndim == 4 and expected.ndim == 2:
            expected = np.dstack([expected] * 3)
        assert np.array_equal(cache.images[position], expected)
        assert np.array_equal(cache.masks[position], resize_mask(mask, SIZE))
        assert np.array_equal(cache.native_mask(position), mask)
        assert cache.native_size(position) == mask.shape
        assert cache.classes[cache.labels[position]] == case.label


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".part"))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_cache_holds_what_a_naive_reader_computes(tmp_path: Path, workers: int) -> None:
    path = build(tmp_path, workers=workers)
    assert_sound(path)
    cache = ImageCache(path)
    assert cache.images.shape == (9, *SIZE)
    assert cache.masks.shape == (9, *SIZE)
    assert cache.images.dtype == cache.masks.dtype == np.uint8
    assert cache.labels.dtype == np.int64
    assert len(cache) == 9
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not BUSI_MINI.is_dir(), reason="the real images are not here")
def test_busi_as_a_naive_reader_sees_it(tmp_path: Path) -> None:
    dataset = Busi(BUSI_MINI)
    cases = dataset.cases()
    some = [case for case in cases if len(case.masks) > 1] + cases[::24]
    cache = ImageCache(build_cache(dataset, some, PARTS, (64, 64), tmp_path, workers=2))
    assert max(len(case.masks) for case in some) > 1
    for case in some:
        assert case.image is not None
        position = cache.index(case.id)
        mask = np.any([read_mask(path) for path in case.masks], axis=0)
        assert np.array_equal(cache.native_mask(position), mask)
        expected = resize_image(preprocess(read_image(case.image), PARTS), (64, 64))
        assert np.array_equal(cache.images[position], expected)
        assert dataset.classes[cache.labels[position]] == case.label


@pytest.mark.parametrize("rgb", [(0,), (5,), (8,), tuple(range(9))])
def test_one_image_with_colours_makes_all_rgb(tmp_path: Path, rgb: tuple[int, ...]) -> None:
    dataset = made(rgb=rgb)
    path = build(tmp_path, dataset)
    assert ImageCache(path).images.shape == (9, *SIZE, 3)
    assert_sound(path, dataset)
    assert not list(path.glob("*.grey"))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 23), st.integers(1, 23), st.integers(0, 2**32 - 1)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_native_masks_come_back_bit_by_bit(shapes: list[tuple[int, int, int]], density: float) -> None:
    arrays = {}
    for index, (height, width, seed) in enumerate(shapes):
        mask = (np.random.default_rng(seed).random((height, width)) < density).astype(np.uint8)
        arrays[f"{index:03}"] = (np.zeros_like(mask), mask)
    dataset = Made(arrays)
    with tempfile.TemporaryDirectory() as folder:
        cache = ImageCache(build_cache(dataset, dataset.cases(), [], (8, 8), Path(folder)))
        for id_, (_, mask) in arrays.items():
            result = cache.native_mask(cache.index(id_))
            assert result.dtype == np.uint8
            assert np.array_equal(result, mask)


def test_nothing_in_it_can_be_changed(tmp_path: Path) -> None:
    cache = ImageCache(build(tmp_path))
    for array in (cache.images, cache.masks, cache.labels, cache.images[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    # What is unpacked is the caller's own.
    cache.native_mask(0)[:] = 1
    assert_sound(cache.path)


def test_it_is_pickled_as_its_path(tmp_path: Path) -> None:
    cache = ImageCache(build(tmp_path), groups={"case 3": "patient 1", "case 4": "patient 1"})
    pickled = pickle.dumps(cache)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert np.array_equal(again.images, cache.images)
    assert again.ids == cache.ids
    assert again.groups == cache.groups


def test_groups_are_those_given_and_else_the_case_itself(tmp_path: Path) -> None:
    path = build(tmp_path)
    assert ImageCache(path).groups == tuple(f"case {index}" for index in range(9))
    groups = ImageCache(path, groups={"case 3": "a", "case 4": "a", "another": "b"}).groups
    assert groups == ("case 0", "case 1", "case 2", "a", "a", "case 5", "case 6", "case 7", "case 8")


def test_a_second_call_reads_no_image(tmp_path: Path) -> None:
    path = build(tmp_path)
    calls: list[tuple[int, int]] = []
    before = (path / "images.npy").stat()
    assert build(tmp_path, on_progress=lambda done, total: calls.append((done, total))) == path
    assert calls == []
    after = (path / "images.npy").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_progress_counts_every_case(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    build(tmp_path, workers=2, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 9) for done in range(1, 10)]


def test_the_order_of_the_cases_does_not_matter(tmp_path: Path) -> None:
    dataset = made()
    path = build_cache(dataset, dataset.cases()[::-1], PARTS, SIZE, tmp_path)
    assert path == build(tmp_path)
    assert_sound(path)


CONTENTS = {"a": "1", "b": "2"}


def test_a_key_has_16_digits_and_knows_defaults() -> None:
    key = cache_key(CONTENTS, [("median", {})], (32, 32))
    assert len(key) == 16
    assert int(key, 16) >= 0
    assert key == cache_key({"b": "2", "a": "1"}, [("median", {"size": 3})], (32, 32))


@pytest.mark.parametrize(
    "other",
    [
        ({"a": "1"}, [("median", {})], (32, 32), ("x", "y")),
        ({"a": "1", "b": "3"}, [("median", {})], (32, 32), ("x", "y")),
        ({"a": "1", "c": "2"}, [("median", {})], (32, 32), ("x", "y")),
        (CONTENTS, [], (32, 32), ("x", "y")),
        (CONTENTS, [("median", {"size": 5})], (32, 32), ("x", "y")),
        (CONTENTS, [("median", {}), ("clahe", {})], (32, 32), ("x", "y")),
        (CONTENTS, [("median", {})], (32, 33), ("x", "y")),
        (CONTENTS, [("median", {})], (32, 32), ("y", "x")),
    ],
)
def test_whatever_changes_the_cache_changes_its_key(other: tuple[Any, ...]) -> None:
    assert cache_key(*other) != cache_key(CONTENTS, [("median", {})], (32, 32), ("x", "y"))


def test_the_order_of_steps_changes_the_key() -> None:
    steps: list[tuple[str, dict[str, Any]]] = [("median", {}), ("clahe", {})]
    assert cache_key(CONTENTS, steps, (8, 8)) != cache_key(CONTENTS, steps[::-1], (8, 8))


def flip_a_bit(name: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray((path / name).read_bytes())
        content[-3] ^= 4
        (path / name).write_bytes(content)

    return damage


def change_the_manifest(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["ids"][0], manifest["ids"][1] = manifest["ids"][1], manifest["ids"][0]
    (path / "manifest.json").write_text(json.dumps(manifest))


def lead_the_manifest_astray(path: Path) -> None:
    """With a digest that is right: to a file that is there and as it says."""
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][f"../{path.name}/labels.npy"] = manifest["files"]["labels.npy"]
    del manifest["digest"]
    (path / "manifest.json").write_text(json.dumps({**manifest, "digest": digest(manifest, length=64)}))


def truncate(name: str) -> Callable[[Path], None]:
    return lambda path: os.truncate(path / name, (path / name).stat().st_size - 1)


UNSEEN_BY_SIZE = {
    "images": flip_a_bit("images.npy"),
    "masks": flip_a_bit("masks.npy"),
    "native masks": flip_a_bit("native_masks.bits"),
    "labels": flip_a_bit("labels.npy"),
    "offsets": flip_a_bit("offsets.npy"),
}
SEEN_AT_ONCE: dict[str, Callable[[Path], Any]] = {
    "truncated images": truncate("images.npy"),
    "truncated masks": truncate("native_masks.bits"),
    "missing sizes": lambda path: (path / "sizes.npy").unlink(),
    "missing manifest": lambda path: (path / "manifest.json").unlink(),
    "half a manifest": lambda path: os.truncate(path / "manifest.json", 100),
    "another manifest": lambda path: (path / "manifest.json").write_text("[]"),
    "changed manifest": change_the_manifest,
    "a manifest that leads astray": lead_the_manifest_astray,
}


@pytest.mark.parametrize("damage", [*UNSEEN_BY_SIZE.values(), *SEEN_AT_ONCE.values()])
def test_a_damaged_cache_is_set_aside_and_built_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = build(tmp_path)
    damage(path)
    with pytest.warns(UserWarning, match="damaged"):
        assert build(tmp_path) == path
    assert_sound(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name, f"{path.name}.damaged"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(tmp_path)


def test_damaged_again_replaces_what_was_set_aside(tmp_path: Path) -> None:
    path = build(tmp_path)
    for _ in range(2):
        flip_a_bit("images.npy")(path)
        with pytest.warns(UserWarning, match="damaged"):
            build(tmp_path)
    assert_sound(path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", SEEN_AT_ONCE.values())
def test_opening_a_damaged_cache_says_what_to_do(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = build(tmp_path)
    damage(path)
    with pytest.raises(UserError, match="rebuild"):
        ImageCache(path)


def test_an_open_cache_survives_being_replaced(tmp_path: Path) -> None:
    path = build(tmp_path)
    cache = ImageCache(path)
    expected = np.array(cache.masks)
    (path / "labels.npy").unlink()
    with pytest.warns(UserWarning, match="damaged"):
        build(tmp_path)
    assert np.array_equal(cache.masks, expected)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise error

    with pytest.raises(error):
        build(tmp_path, workers=2, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process with this file's names, `folder` first among the arguments."""
    head = (
        "import runpy, sys, time\nfrom pathlib import Path\n"
        f"globals().update(runpy.run_path({__file__!r}))\nfolder = Path(sys.argv[1])\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + program, *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_builder_leaves_no_half_cache(tmp_path: Path) -> None:
    builder = start(
        "build(folder, on_progress=lambda done, total: done == 4 and (print('halfway', flush=True), time.sleep(600)))",
        tmp_path,
    )
    assert builder.stdout is not None
    assert builder.stdout.readline().strip() == "halfway"
    assert len(leftovers(tmp_path)) == 1
    # What a living process builds is left alone.
    path = build(tmp_path)
    assert len(leftovers(tmp_path)) == 1
    builder.kill()
    builder.wait()
    builder.stdout.close()
    assert_sound(path)
    build(tmp_path)
    assert leftovers(tmp_path) == []
    assert_sound(path)


def test_two_processes_build_the_same_cache_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    # Each waits halfway until the other has come as far.
    program = (
        "def meet(done, total):\n"
        "    if done == 5:\n"
        "        Path(sys.argv[2], sys.argv[3]).touch()\n"
        "        while len(list(Path(sys.argv[2]).iterdir())) < 2:\n"
        "            time.sleep(0.01)\n"
        "print(build(folder, on_progress=meet))\n"
    )
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    builders = [start(program, folder, meeting, name) for name in ("first", "second")]
    answers = [builder.communicate(timeout=120)[0].strip() for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0]
    assert answers[0] == answers[1]
    assert [str(path) for path in folder.iterdir()] == [answers[0]]
    assert_sound(Path(answers[0]))


def test_remains_are_removed_unless_somebody_builds_in_them(tmp_path: Path) -> None:
    remains, in_use = tmp_path / ".key+aa.part", tmp_path / ".key+bb.part"
    for folder in (remains, in_use):
        folder.mkdir()
        (folder / "images.npy").touch()
    descriptor = os.open(in_use, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    build(tmp_path)
    assert leftovers(tmp_path) == [in_use.name]
    os.close(descriptor)
    build(tmp_path)
    assert leftovers(tmp_path) == []


def test_all_unreadable_cases_are_named_at_once(tmp_path: Path) -> None:
    class Faulty(Made):
        def read_image(self, case: Case) -> np.ndarray:
            if case.id == "case 2":
                raise OSError("case2.png is cut off")
            return super().read_image(case)

        def read_mask(self, case: Case) -> np.ndarray:
            if case.id == "case 4":
                raise ValueError("masks differ in size")
            mask = super().read_mask(case)
            return mask[:-1] if case.id == "case 6" else mask

    dataset = Faulty(made().arrays)
    with pytest.raises(UserError) as caught:
        build_cache(dataset, dataset.cases(), PARTS, SIZE, tmp_path, workers=2)
    assert [problem.where for problem in caught.value.problems] == ["case 2", "case 4", "case 6"]
    assert "cut off" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_wrong_cases_are_named_before_anything_is_read(tmp_path: Path) -> None:
    dataset = made(2)
    cases = [*dataset.cases(), Case("case 0", "one"), Case("case 9", "three")]
    with pytest.raises(UserError) as caught:
        build_cache(dataset, cases, PARTS, SIZE, tmp_path)
    assert [problem.where for problem in caught.value.problems] == ["case 9", "case 0"]
    with pytest.raises(UserError, match="no cases"):
        build_cache(dataset, [], PARTS, SIZE, tmp_path)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = build(tmp_path / "one", workers=1), build(tmp_path / "other", workers=3)
    assert one.name == other.name
    for path in one.iterdir():
        assert file_digest(path) == file_digest(other / path.name)
