"""Phantoms: the physics of their speckle, the shapes of their lesions, and how alike any two are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import stats

from utils.images.phantoms import LABELS, near_duplicate, phantom
from utils.images.phantoms.lesions import draw_lesion
from utils.images.phantoms.speckle import amplitude, log_compress, speckle

SHAPE = (176, 208)


def thumbnail(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).astype(float).ravel()


def spans(mask: np.ndarray) -> tuple[int, int]:
    """The height and the width in pixels of what is inside the mask."""
    rows, columns = np.nonzero(mask)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.mark.parametrize(("axial", "lateral"), [(0.55, 0.8), (0.7, 1.1), (0.85, 1.5)])
def test_envelope_of_even_tissue_is_rayleigh_distributed(axial: float, lateral: float) -> None:
    envelope = speckle(np.ones((400, 400), np.float32), np.random.default_rng(3), axial, lateral)
    # Eight pixels apart the echoes no longer share scatterers, so that the test's samples are independent.
    samples = envelope[::8, ::8].ravel()
    assert stats.kstest(samples, stats.rayleigh(scale=np.sqrt(0.5)).cdf).pvalue > 0.01
    # The signal-to-noise ratio of fully developed speckle is 1.91, whatever the tissue.
    assert envelope.mean() / envelope.std() == pytest.approx(1.913, rel=0.03)


def test_speckle_test_would_notice_another_distribution() -> None:
    compounded = sum(speckle(np.ones((400, 400), np.float32), np.random.default_rng(seed)) for seed in (1, 2)) / 2
    assert stats.kstest(compounded[::8, ::8].ravel(), stats.rayleigh(scale=np.sqrt(0.5)).cdf).pvalue < 1e-6


def test_speckle_scales_with_the_strength_of_the_tissue() -> None:
    strength = np.full((200, 200), 1.0, np.float32)
    strength[:, 100:] = amplitude(np.float32(-20))
    envelope = speckle(strength, np.random.default_rng(0))
    power = [np.mean(envelope[:, part] ** 2) for part in (slice(0, 90), slice(110, 200))]
    assert 10 * np.log10(power[1] / power[0]) == pytest.approx(-20, abs=0.5)


def test_log_compression_maps_the_dynamic_range_to_black_and_white() -> None:
    envelope = amplitude(np.array([[-80, -50, -25, 0, 10]], np.float32))
    np.testing.assert_allclose(log_compress(envelope, dynamic_range=50, gain=0), [[0, 0, 127.5, 255, 255]], atol=0.01)


@pytest.mark.parametrize("label", LABELS)
def test_phantom_is_a_pure_function_of_its_seed(label: str) -> None:
    image, mask = phantom(label, 5)
    phantom(label, 6)
    again, mask_again = phantom(label, 5)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(mask, mask_again)
    assert not np.array_equal(image[:100, :100], phantom(label, 6)[0][:100, :100])


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seed", range(8))
def test_image_and_mask_have_the_promised_form(label: str, seed: int) -> None:
    image, mask = phantom(label, seed, height=160, width=200)
    assert image.dtype == mask.dtype == np.uint8
    assert image.shape == mask.shape
    assert 144 <= image.shape[0] <= 176 and 180 <= image.shape[1] <= 220
    assert set(np.unique(mask)) <= {0, 1}
    assert mask.any() == (label != "normal")
    # Neither black nor white nor flat: something can be seen.
    assert 30 < image.mean() < 170 and image.std() > 15


def test_sizes_differ_between_cases() -> None:
    assert len({phantom("normal", seed)[0].shape for seed in range(6)}) > 1


def test_second_lesion_lies_apart_from_the_first() -> None:
    masks = [phantom("benign", seed, lesions=2)[1] for seed in range(20)]
    counts = [cv2.connectedComponents(mask, connectivity=8)[0] - 1 for mask in masks]
    assert set(counts) <= {1, 2}
    assert np.mean(np.array(counts) == 2) > 0.8


def test_unknown_label_and_tiny_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="benign, malignant, normal"):
        phantom("cyst", 0)
    with pytest.raises(ValueError, match="64"):
        phantom("benign", 0, height=32)


@pytest.mark.slow
def test_benign_lesions_lie_flat_and_malignant_ones_stand() -> None:
    masks = {label: [phantom(label, seed)[1] for seed in range(60)] for label in ("benign", "malignant")}
    ratios = {label: np.array([spans(mask)[0] / spans(mask)[1] for mask in masks[label]]) for label in masks}
    assert np.median(ratios["benign"]) < 0.8
    assert np.median(ratios["malignant"]) > 1.0
    # The sign overlaps between the classes, as in patients: no threshold on it alone gets all cases right.
    assert ratios["benign"].max() > ratios["malignant"].min()


@pytest.mark.slow
def test_malignant_outlines_are_less_regular_than_benign_ones() -> None:
    def solidity(mask: np.ndarray) -> float:
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        largest = max(contours, key=cv2.contourArea)
        return cv2.contourArea(largest) / cv2.contourArea(cv2.convexHull(largest))

    values = {label: [solidity(phantom(label, seed)[1]) for seed in range(60)] for label in ("benign", "malignant")}
    assert np.median(values["benign"]) > 0.93
    assert np.median(values["malignant"]) < 0.9


def test_malignant_lesions_shadow_and_benign_ones_enhance_more_often_than_not() -> None:
    def behind(label: str) -> list[float]:
        lesions = [draw_lesion(label, SHAPE, np.random.default_rng(seed)) for seed in range(80)]
        return [float(lesion.behind[-1][lesion.mask.any(axis=0)].mean()) for lesion in lesions]

    assert np.mean(behind("benign")) > 0.5
    assert np.mean(behind("malignant")) < -2


@pytest.mark.slow
def test_most_lesions_are_darker_than_their_surroundings_but_not_all() -> None:
    contrasts = []
    for seed in range(60):
        image, mask = phantom("benign" if seed % 2 else "malignant", seed)
        ring = cv2.dilate(mask, np.ones((27, 27), np.uint8)) - mask
        contrasts.append(image[mask > 0].mean() / image[ring > 0].mean())
    assert 0.3 < np.median(contrasts) < 0.8
    assert max(contrasts) > 0.85


@pytest.mark.slow
def test_near_duplicates_are_found_by_their_thumbnails_and_differ_in_pixels() -> None:
    found = []
    for seed in range(60):
        image, mask = phantom(LABELS[seed % 3], seed)
        copy, copied_mask = near_duplicate(image, mask, seed)
        assert copy.shape == image.shape and copy.dtype == copied_mask.dtype == np.uint8
        assert not np.array_equal(copy, image)
        assert copied_mask.any() == mask.any()
        np.testing.assert_array_equal(copy, near_duplicate(image, mask, seed)[0])
        found.append(np.corrcoef(thumbnail(image), thumbnail(copy))[0, 1])
    assert min(found) > 0.95


def test_mask_of_a_near_duplicate_moves_with_its_lesion() -> None:
    image, mask = phantom("benign", 2)
    moved = [near_duplicate(image, mask, seed)[1] for seed in range(12)]
    overlaps = [2 * (mask & other).sum() / (mask.sum() + other.sum()) for other in moved]
    assert min(overlaps) > 0.8
    assert min(overlaps) < 1.0


@pytest.mark.slow
def test_unrelated_phantoms_are_not_taken_for_near_duplicates() -> None:
    thumbnails = np.array([thumbnail(phantom(LABELS[seed % 3], seed)[0]) for seed in range(90)])
    pairs = np.corrcoef(thumbnails)[np.triu_indices(90, 1)]
    assert pairs.max() < 0.95
    assert np.median(pairs) < 0.7
