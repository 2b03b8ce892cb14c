"""Batches on a device are augmented as single cases are: with the same pixels for the same draw, and draws alike."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from utils.errors import UserError
from utils.images.augmentation import AUGMENTATION, Augmentation
from utils.images.augmentation.batches import BATCH_AUGMENTATION, BatchAugmentation

SIZE = (48, 64)
DRAWS = 400
EVERYTHING: list[tuple[str, dict[str, Any]]] = [
    ("flip", {"vertical": True}),
    ("rotate", {}),
    ("shift_scale", {"border": "reflect"}),
    ("brightness_contrast", {}),
    ("noise", {}),
    ("elastic", {}),
]
MOVING = ["flip", "rotate", "shift_scale", "elastic"]


def sample(channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """An image without symmetry, darker to one side, and a lesion off its centre."""
    rng = np.random.default_rng(7)
    image = cv2.GaussianBlur(rng.integers(0, 256, (*SIZE, channels), np.uint8), (0, 0), 2).reshape(*SIZE, channels)
    image = (image * np.linspace(0.4, 1, SIZE[1])[None, :, None] * np.linspace(0.7, 1, SIZE[0])[:, None, None]).round()
    mask = np.zeros(SIZE, np.uint8)
    cv2.ellipse(mask, (SIZE[1] // 3, SIZE[0] // 3), (SIZE[1] // 5, SIZE[0] // 7), 20, 0, 360, 1, -1)
    return image.astype(np.uint8), mask


def batch(image: np.ndarray, mask: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(image).permute(2, 0, 1).float().div(255)
    return images.repeat(count, 1, 1, 1), torch.from_numpy(mask).float().repeat(count, 1, 1, 1)


def on_device(parts: list[tuple[str, dict[str, Any]]], seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """The sample under every seed, as uint8 (B, H, W) each."""
    images, masks = BatchAugmentation(parts)(*batch(*sample(), len(seeds)), seeds)
    return (images[:, 0] * 255).round().byte().numpy(), masks[:, 0].byte().numpy()


def on_host(parts: list[tuple[str, dict[str, Any]]], seeds: range) -> tuple[np.ndarray, np.ndarray]:
    augmentation, (image, mask) = Augmentation(parts), sample()
    images, masks = zip(*(augmentation(image[..., 0], mask, seed) for seed in seeds), strict=True)
    return np.stack(images), np.stack(masks)


def facts(images: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of each draw that together say where everything went and how bright, wide and rough it is."""
    rows, columns = np.indices(SIZE)
    weights, lesions = images.astype(float), masks.astype(float)

    def centre(values: np.ndarray, along: np.ndarray) -> np.ndarray:
        return (values * along).sum((1, 2)) / np.maximum(values.sum((1, 2)), 1)

    return {
        "brightness": weights.mean((1, 2)),
        "contrast": weights.std((1, 2)),
        "roughness": np.abs(np.diff(weights, axis=2)).mean((1, 2)),
        "black": (images == 0).mean((1, 2)),
        "row": centre(weights, rows),
        "column": centre(weights, columns),
        "corner": weights[:, :6, :6].mean((1, 2)),
        "lesion": lesions.sum((1, 2)),
        "lesion row": centre(lesions, rows),
        "lesion column": centre(lesions, columns),
    }


def test_every_counterpart_has_the_name_and_the_options_of_an_augmentation() -> None:
    assert set(BATCH_AUGMENTATION) == set(AUGMENTATION)
    for name in BATCH_AUGMENTATION:
        ours, theirs = (list(inspect.signature(r[name]).parameters) for r in (BATCH_AUGMENTATION, AUGMENTATION))
        assert ours == theirs


@pytest.mark.parametrize("name", BATCH_AUGMENTATION)
@pytest.mark.parametrize("options", [{}, {"border": "reflect", "p": 1.0}], ids=["default", "reflect"])
def test_draws_have_the_distribution_of_those_of_single_cases(name: str, options: dict[str, Any]) -> None:
    if not set(options) <= set(inspect.signature(AUGMENTATION[name]).parameters):
        options = {"p": 1.0}
    ours, theirs = on_device([(name, options)], range(DRAWS)), on_host([(name, options)], range(DRAWS))
    theirs_facts = facts(*theirs)
    chances = {fact: ks_2samp(values, theirs_facts[fact]).pvalue for fact, values in facts(*ours).items()}
    # Some 100 comparisons of seeds that do not change: one in 1,000 would be below by chance.
    assert min(chances.values()) > 1e-3, chances


def test_a_list_of_them_has_the_distribution_of_single_cases() -> None:
    ours, theirs = on_device(EVERYTHING, range(DRAWS)), on_host(EVERYTHING, range(DRAWS))
    theirs_facts = facts(*theirs)
    assert min(ks_2samp(values, theirs_facts[fact]).pvalue for fact, values in facts(*ours).items()) > 1e-3


def test_the_comparison_of_distributions_would_see_a_difference() -> None:
    ours = facts(*on_device([("rotate", {"limit": 15.0})], range(DRAWS)))
    theirs = facts(*on_host([("rotate", {"limit": 25.0})], range(DRAWS)))
    assert min(ks_2samp(values, theirs[fact]).pvalue for fact, values in ours.items()) < 1e-6


@pytest.mark.parametrize("name", ["rotate", "shift_scale"])
@pytest.mark.parametrize("border", ["constant", "reflect"])
def test_the_same_movement_moves_the_same_pixels(name: str, border: str) -> None:
    image, mask = sample()
    options = AUGMENTATION.check(name, {"border": border, "p": 1.0})
    single, whole = AUGMENTATION[name](**options), BATCH_AUGMENTATION[name](**options)
    for seed in range(20):
        single.set_random_state(np.random.default_rng(0), random.Random(seed))
        move = single.draw(*SIZE)
        images, masks = whole.apply(*batch(image, mask, 1), [whole.draw(random.Random(seed), *SIZE)])
        _assert_moved(images, masks, lambda pixels, *how, move=move: single.move(pixels, move, *how), border)


@pytest.mark.parametrize("border", ["constant", "reflect"])
def test_the_same_displacements_bend_the_same_pixels(border: str) -> None:
    image, mask = sample()
    part = BATCH_AUGMENTATION["elastic"](**AUGMENTATION.check("elastic", {"border": border, "displacement": 0.05}))
    for seed in range(20):
        grid = part.draw(random.Random(seed), *SIZE)
        fields = [cv2.resize(plane.astype(np.float32), SIZE[::-1], interpolation=cv2.INTER_CUBIC) for plane in grid]
        rows, columns = np.indices(SIZE).astype(np.float32)

        def bent(
            pixels: np.ndarray, how: int, edge: int, x: Any = fields[0] + columns, y: Any = fields[1] + rows
        ) -> Any:
            return cv2.remap(pixels, x, y, how, borderMode=edge)

        images, masks = part.apply(*batch(image, mask, 1), [grid])
        _assert_moved(images, masks, bent, border)


def _assert_moved(images: Tensor, masks: Tensor, move: Callable[..., np.ndarray], border: str) -> None:
    """OpenCV reads between pixels in steps of 1/32, and may take the other neighbour where two are as near."""
    image, mask = sample()
    edge = {"constant": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}[border]
    expected = move(image[..., 0], cv2.INTER_LINEAR, edge).astype(float)
    off = np.abs(images[0, 0].numpy() * 255 - expected)
    assert off.mean() < 0.5 and np.quantile(off, 0.99) < 3
    expected = move(mask, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    assert (masks[0, 0].numpy() != expected).mean() < 0.01


@pytest.mark.parametrize("name", MOVING)
def test_masks_stay_binary_and_move_with_the_image(name: str) -> None:
    _, mask = sample()
    images, masks = BatchAugmentation([(name, {"p": 1.0})])(*batch(mask[..., None] * 255, mask, 20), range(20))
    assert set(masks.unique().tolist()) == {0, 1}
    for image, moved in zip(images, masks, strict=True):
        overlap = 2 * ((image > 0.5) & (moved == 1)).sum() / ((image > 0.5).sum() + moved.sum())
        assert overlap > 0.94


@pytest.mark.parametrize("name", ["brightness_contrast", "noise"])
def test_masks_stay_where_only_intensities_change(name: str) -> None:
    images, masks = batch(*sample(), 6)
    found = BatchAugmentation([(name, {"p": 1.0})])(images.clone(), masks.clone(), range(6))
    assert torch.equal(found[1], masks) and not torch.equal(found[0], images)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_case_depends_on_its_seed_and_not_on_its_neighbours(channels: int) -> None:
    augmentation, seeds = BatchAugmentation(EVERYTHING), [3, 11, 2**63 - 1, 11]
    images, masks = augmentation(*batch(*sample(channels), 4), seeds)
    assert torch.equal(images[1], images[3]) and not torch.equal(images[0], images[1])
    for row, seed in enumerate(seeds):
        alone = augmentation(*batch(*sample(channels), 1), [seed])
        assert torch.allclose(alone[0][0], images[row], atol=1e-5) and torch.equal(alone[1][0], masks[row])
    assert images.shape == (4, channels, *SIZE) and images.dtype == masks.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("name", BATCH_AUGMENTATION)
def test_probability_zero_changes_nothing(name: str) -> None:
    images, masks = batch(*sample(), 5)
    found = BatchAugmentation([(name, {"p": 0.0})])(images.clone(), masks.clone(), range(5))
    assert torch.equal(found[0], images) and torch.equal(found[1], masks)


def test_no_global_random_numbers_are_drawn() -> None:
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    BatchAugmentation([(name, {**options, "p": 1.0}) for name, options in EVERYTHING])(*batch(*sample(), 4), range(4))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1] and random.getstate() == before[2]


def test_an_augmentation_without_a_counterpart_is_refused() -> None:
    with pytest.raises(UserError, match="no such augmentation of batches"):
        BatchAugmentation([("cutout", {})])
