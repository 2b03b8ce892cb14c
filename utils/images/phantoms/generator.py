"""One made case from one seed, and a neighbouring frame of it."""

from __future__ import annotations

import cv2
import numpy as np

from utils.identity import derive_seed
from utils.images.phantoms.lesions import Lesion, draw_lesion
from utils.images.phantoms.speckle import amplitude, log_compress, speckle
from utils.images.phantoms.tissue import draw_losses, draw_tissue

GENERATOR_VERSION = 1
"""Raised whenever the same seed would give another image: results on the old ones must not be mixed with new."""

LABELS: tuple[str, ...] = ("benign", "malignant", "normal")


def phantom(
    label: str, seed: int, height: int = 176, width: int = 208, lesions: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """An ultrasound-like image and its lesion mask, both uint8 and (height, width), grey in 0..255 and mask 0 or 1.

    A pure function of its arguments. The size varies by up to a tenth about `height` and `width`, as the images of
    a clinic do. The mask of label "normal" is empty; the others have `lesions`, small ones after the first.
    Raises ValueError for a label not in `LABELS`, or sides below 64 pixels.
    """
    if label not in LABELS:
        raise ValueError(f"no such label: {label!r}; valid: {', '.join(LABELS)}")
    if min(height, width) < 64:
        raise ValueError(f"a phantom needs 64 pixels a side; got {height} x {width}")
    rng = np.random.default_rng(derive_seed("phantom", GENERATOR_VERSION, label, seed))
    shape = (round(height * rng.uniform(0.9, 1.1)), round(width * rng.uniform(0.9, 1.1)))
    level = draw_tissue(shape, rng)
    losses = draw_losses(shape, rng)
    mask = np.zeros(shape, bool)
    for _ in range(0 if label == "normal" else lesions):
        lesion = _apart(mask, label, rng)
        around = np.float32((level * lesion.cover).sum() / lesion.cover.sum())
        # A lesion replaces most of the tissue at its place; the rest shows through.
        replaced = np.float32(0.85) * lesion.cover
        level = (1 - replaced) * level + replaced * around + lesion.cover * lesion.echo + lesion.rim
        losses += lesion.behind
        mask |= lesion.mask
    image = _scanned(level + losses, rng)
    return image, mask.astype(np.uint8)


def near_duplicate(image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The neighbouring frame of a case: moved by a few pixels, another gain, a little new noise; sizes kept.

    image: uint8, (height, width); mask: uint8 of 0 and 1, (height, width). A pure function of its arguments.
    """
    rng = np.random.default_rng(derive_seed("near duplicate", GENERATOR_VERSION, seed))
    down, across = int(rng.integers(-1, 2)), int(rng.integers(-2, 3))
    move = np.array([[1, 0, across], [0, 1, down]], np.float32)
    height, width = image.shape
    moved = [
        cv2.warpAffine(part, move, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        for part in (image, mask)
    ]
    gain, offset = rng.uniform(0.93, 1.07), rng.uniform(-5, 5)
    grain = cv2.GaussianBlur(rng.standard_normal(image.shape, dtype=np.float32), (0, 0), sigmaX=1.1, sigmaY=0.7)
    grey = moved[0] * np.float32(gain) + np.float32(offset) + np.float32(rng.uniform(4, 10)) * grain
    # Black stays black: there is no echo to be noisy.
    grey = np.where(moved[0] > 0, grey, 0)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), moved[1]


def _apart(mask: np.ndarray, label: str, rng: np.random.Generator, attempts: int = 10) -> Lesion:
    """A lesion that does not touch those in `mask`; the last of `attempts` where there is no room for it."""
    taken = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    for _ in range(attempts):
        lesion = draw_lesion(label, mask.shape, rng, second=bool(mask.any()))
        if not (lesion.mask & taken).any():
            break
    return lesion


def _scanned(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The grey image of echo levels in dB, uint8: electronic noise, speckle, log compression, smoothing, display."""
    floor = np.float32(10 ** (rng.uniform(-66, -50) / 10))
    strength = np.sqrt(amplitude(level) ** 2 + floor)
    axial, lateral = rng.uniform(0.55, 0.85), rng.uniform(0.8, 1.5)
    # Spatial compounding: the mean of views from several angles, whose speckle is independent.
    views = int(rng.integers(1, 6))
    envelope = np.mean([speckle(strength, rng, axial, lateral) for _ in range(views)], axis=0)
    # The sonographer sets the gain so that the picture looks right, not perfectly.
    dynamic_range = rng.uniform(40, 56)
    gain = -float(np.percentile(level, 75)) - rng.uniform(0.36, 0.56) * dynamic_range
    grey = log_compress(envelope, dynamic_range, gain)
    smooth = rng.uniform(0.45, 0.9)
    grey = cv2.GaussianBlur(grey, (0, 0), sigmaX=smooth, sigmaY=0.8 * smooth)
    grey = 255 * (grey * np.float32(1 / 255)) ** np.float32(rng.uniform(0.9, 1.25))
    if rng.random() < 0.06:
        grey *= _sector(level.shape, rng)
    if rng.random() < 0.25:
        _write_on(grey, rng)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _sector(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """0 in the upper corners that a trapezoid view leaves black, else 1."""
    height, width = shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    reach = np.float32(rng.uniform(0.08, 0.2)) * width * (1 - rows / np.float32(rng.uniform(0.5, 1.0) * height))
    return ((columns > reach) & (columns < width - 1 - reach)).astype(np.float32)


def _write_on(grey: np.ndarray, rng: np.random.Generator) -> None:
    """Burns an annotation into the image, as scanners do; what it says has nothing to do with the label."""
    text = str(rng.choice(["RT BREAST", "LT BREAST", "RT UOQ", "LT 6", "RT AXILLA", "LT 2 FN", "RT LIQ"]))
    height, width = grey.shape
    place = (int(rng.uniform(0.05, 0.55) * width), int(rng.uniform(0.6, 0.95) * height))
    layer = np.zeros(grey.shape, np.uint8)
    cv2.putText(layer, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.3, (215,), 1, cv2.LINE_AA)
    np.maximum(grey, layer, out=grey)
