from __future__ import annotations

import hashlib
import pickle
import random
import subprocess
import sys
import timeit
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from utils.errors import UserError
from utils.images.augmentation import AUGMENTATION, Augmentation

REPOSITORY = Path(__file__).parents[3]
EVERYTHING: list[tuple[str, dict[str, Any]]] = [
    ("flip", {"vertical": True}),
    ("rotate", {}),
    ("shift_scale", {"border": "reflect"}),
    ("brightness_contrast", {}),
    ("noise", {}),
    ("elastic", {}),
]


def sample(channels: int = 1, shape: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    image = cv2.GaussianBlur(rng.integers(0, 256, (*shape, channels), np.uint8), (0, 0), 2)
    mask = np.zeros(shape, np.uint8)
    cv2.ellipse(mask, (shape[1] // 2, shape[0] // 3), (shape[1] // 4, shape[0] // 6), 20, 0, 360, 1, -1)
    return image, mask


def fingerprint(parts: list[tuple[str, dict[str, Any]]], seeds: range) -> str:
    augmentation = Augmentation(parts)
    image, mask = sample()
    hashed = hashlib.sha256()
    for seed in seeds:
        for array in augmentation(image, mask, seed):
            hashed.update(array.tobytes())
    return hashed.hexdigest()


@pytest.mark.parametrize("name", AUGMENTATION)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_augmentation_is_a_function_of_its_seed(name: str, channels: int) -> None:
    image, mask = sample(channels)
    seeds = [0, 1, 2**63 - 1, 12345, 99]
    first = Augmentation([(name, {"p": 0.7})])
    forwards = [first(image, mask, seed) for seed in seeds]
    second = Augmentation([(name, {"p": 0.7})])
    second(image[:20, :30], mask[:20, :30], 4)
    backwards = [second(image, mask, seed) for seed in reversed(seeds)][::-1]
    for (image_1, mask_1), (image_2, mask_2) in zip(forwards, backwards, strict=True):
        assert np.array_equal(image_1, image_2)
        assert np.array_equal(mask_1, mask_2)


@pytest.mark.parametrize("name", AUGMENTATION)
def test_every_augmentation_changes_images_and_differs_between_seeds(name: str) -> None:
    image, mask = sample()
    augmentation = Augmentation([(name, {"p": 1.0})])
    results = {augmentation(image, mask, seed)[0].tobytes() for seed in range(12)}
    # A flip has one outcome, everything else is drawn from a range. Noise may come out too weak to be seen.
    assert len(results - {image.tobytes()}) >= (1 if name == "flip" else 10)


@pytest.mark.parametrize("name", AUGMENTATION)
def test_probability_zero_changes_nothing(name: str) -> None:
    image, mask = sample()
    for seed in range(5):
        image_1, mask_1 = Augmentation([(name, {"p": 0.0})])(image, mask, seed)
        assert np.array_equal(image_1, image)
        assert np.array_equal(mask_1, mask)


@pytest.mark.parametrize("name", AUGMENTATION)
@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3), (33, 17)])
def test_results_are_new_arrays_of_the_same_kind(name: str, shape: tuple[int, ...]) -> None:
    image, mask = np.full(shape, 90, np.uint8), np.ones(shape[:2], np.uint8)
    image.flags.writeable = mask.flags.writeable = False
    for p in (0.0, 1.0):
        for given, result in zip((image, mask), Augmentation([(name, {"p": p})])(image, mask, 3), strict=True):
            assert result.shape == given.shape
            assert result.dtype == np.uint8
            assert result.flags.writeable
            assert result.flags.c_contiguous
            assert not np.shares_memory(result, given)
    assert (image == 90).all()
    assert (mask == 1).all()


def test_no_global_random_state_is_read_or_touched() -> None:
    image, mask = sample()
    augmentation = Augmentation([(name, {**options, "p": 1.0}) for name, options in EVERYTHING])
    outcomes = []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)
        cv2.setRNGSeed(state)
        before_python, before_numpy = random.getstate(), np.random.get_state()
        expected = cv2.randu(np.empty((4, 4), np.uint8), 0, 255)
        cv2.setRNGSeed(state)
        outcomes.append(augmentation(image, mask, 11))
        assert random.getstate() == before_python
        assert str(np.random.get_state()) == str(before_numpy)
        # OpenCV shows no state; its next numbers do.
        assert np.array_equal(cv2.randu(np.empty((4, 4), np.uint8), 0, 255), expected)
    assert np.array_equal(outcomes[0][0], outcomes[1][0])
    assert np.array_equal(outcomes[0][1], outcomes[1][1])


def test_one_object_serves_many_threads() -> None:
    image, mask = sample()
    augmentation = Augmentation(EVERYTHING)
    seeds = list(range(200))
    alone = [augmentation(image, mask, seed) for seed in seeds]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: augmentation(image, mask, seed), seeds))
    for (image_1, mask_1), (image_2, mask_2) in zip(alone, together, strict=True):
        assert np.array_equal(image_1, image_2)
        assert np.array_equal(mask_1, mask_2)


@pytest.mark.slow
def test_another_process_gives_the_same(tmp_path: Path) -> None:
    program = (
        "import runpy, sys; module = runpy.run_path(sys.argv[1]);"
        "print(module['fingerprint'](module['EVERYTHING'], range(20)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, __file__], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == fingerprint(EVERYTHING, range(20))


def test_pickled_gives_the_same() -> None:
    image, mask = sample()
    augmentation = Augmentation(EVERYTHING)
    augmentation(image, mask, 1)
    again = pickle.loads(pickle.dumps(augmentation))
    assert np.array_equal(again(image, mask, 5)[0], augmentation(image, mask, 5)[0])


def test_transforms_draw_numbers_of_their_own() -> None:
    """With one seed set in each transform all four flips would be the same coin."""
    image = np.arange(4, dtype=np.uint8).reshape(2, 2)
    augmentation = Augmentation([("flip", {"horizontal": True, "vertical": True})])
    counts = Counter(augmentation(image, image, seed)[0].tobytes() for seed in range(800))
    assert len(counts) == 4
    # 200 each; 6 standard deviations of a binomial are 73.
    assert all(abs(count - 200) < 73 for count in counts.values())


def test_nested_compositions_follow_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nested() -> A.BaseCompose:
        choice = A.OneOf(
            [A.MultiplicativeNoise(p=1.0), A.Sequential([A.ElasticTransform(alpha=50, sigma=3, p=0.9)])], p=0.9
        )
        return A.SomeOf([choice, A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=1.0)], n=2, p=1.0)

    monkeypatch.setitem(AUGMENTATION._entries, "nested", nested)
    image, mask = sample(3)
    first, second = Augmentation([("nested", {})]), Augmentation([("nested", {})])
    forwards = [first(image, mask, seed)[0] for seed in range(30)]
    backwards = [second(image, mask, seed)[0] for seed in reversed(range(30))][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(forwards, backwards, strict=True))
    assert len({result.tobytes() for result in forwards}) > 10


@pytest.mark.parametrize("name", ["flip", "rotate", "shift_scale", "elastic"])
def test_image_and_mask_move_together(name: str) -> None:
    _, mask = sample(shape=(96, 128))
    augmentation = Augmentation([(name, {"p": 1.0})])
    for seed in range(10):
        image_1, mask_1 = augmentation(mask * 255, mask, seed)
        assert set(np.unique(mask_1)) <= {0, 1}
        overlap = 2 * np.sum((image_1 > 127) & (mask_1 == 1)) / (np.sum(image_1 > 127) + mask_1.sum())
        assert overlap > 0.97


@pytest.mark.parametrize("name", ["brightness_contrast", "noise"])
def test_masks_stay_where_only_intensities_change(name: str) -> None:
    image, mask = sample()
    assert np.array_equal(Augmentation([(name, {"p": 1.0})])(image, mask, 3)[1], mask)


def test_noise_has_the_drawn_spread_and_is_the_same_in_all_channels() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    augmentation = Augmentation([("noise", {"std": 0.1, "p": 1.0})])
    spreads = []
    for seed in range(60):
        noisy = augmentation(image, image[..., 0], seed)[0].astype(int)
        assert (noisy == noisy[..., :1]).all()
        assert abs(noisy.mean() - 128) < 2
        spreads.append(noisy.std())
    assert 22 < max(spreads) < 27
    assert min(spreads) < 4


def test_elastic_moves_pixels_by_its_displacement() -> None:
    """Read back from an image whose grey values are its columns."""
    image = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    augmentation = Augmentation([("elastic", {"displacement": 0.02, "border": "reflect", "p": 1.0})])
    moved = np.stack([augmentation(image, image, seed)[0] for seed in range(100)]).astype(float) - image
    # 4 pixels of 200 at the points of the grid, less between them.
    assert 2.5 < moved[:, 90:110, 90:110].std() < 5.5
    assert np.abs(np.diff(moved[:, 20:-20, 20:-20], axis=1)).max() <= 1


@pytest.mark.parametrize(("border", "outside"), [("constant", 0), ("reflect", 200)])
def test_masks_are_empty_outside_whatever_the_image_shows(border: str, outside: int) -> None:
    image, mask = np.full((64, 64), 200, np.uint8), np.ones((64, 64), np.uint8)
    augmentation = Augmentation([("rotate", {"limit": 45.0, "border": border, "p": 1.0})])
    corners = 0
    for seed in range(20):
        image_1, mask_1 = augmentation(image, mask, seed)
        if mask_1[0, 0] == 0 and mask_1[1, 1] == 0:
            corners += 1
            assert image_1[0, 0] == outside
    assert corners > 10


def test_horizontal_flip_is_left_to_right() -> None:
    image, mask = sample()
    image_1, mask_1 = Augmentation([("flip", {"p": 1.0})])(image, mask, 0)
    assert np.array_equal(image_1, image.reshape(mask.shape)[:, ::-1].reshape(image_1.shape))
    assert np.array_equal(mask_1, mask[:, ::-1])


def test_shift_stays_within_its_limit() -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[50, 100] = 1
    augmentation = Augmentation([("shift_scale", {"shift": 0.1, "scale": 0.0, "p": 1.0})])
    rows, columns = [], []
    for seed in range(200):
        ((row, column),) = np.argwhere(augmentation(mask, mask, seed)[1])
        rows.append(row - 50)
        columns.append(column - 100)
    assert 8 <= max(rows) <= 10
    assert -10 <= min(rows) <= -8
    assert 17 <= max(columns) <= 20
    assert -20 <= min(columns) <= -17


def test_zero_limits_leave_pixels_where_they_are() -> None:
    image, mask = sample()
    parts = [("rotate", {"limit": 0.0, "p": 1.0}), ("shift_scale", {"shift": 0.0, "scale": 0.0, "p": 1.0})]
    image_1, mask_1 = Augmentation(parts)(image, mask, 0)
    assert np.array_equal(image_1.reshape(image.shape), image)
    assert np.array_equal(mask_1, mask)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("flip", {"p": 1.5}),
        ("rotate", {"limit": -1}),
        ("rotate", {"border": "wrap"}),
        ("shift_scale", {"scale": 1.0}),
        ("noise", {"std": 0}),
        ("elastic", {"grid": 2}),
        ("elastic", {"sigma": 2}),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Augmentation([(name, options)])


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="rotate"):
        Augmentation([("rotat", {})])


def test_setting_the_seed_costs_less_than_100_microseconds() -> None:
    augmentation = Augmentation([(name, {**options, "p": 0.0}) for name, options in EVERYTHING])
    image = np.zeros((8, 8), np.uint8)
    assert min(timeit.repeat(lambda: augmentation(image, image, 3), number=50, repeat=20)) / 50 < 100e-6
