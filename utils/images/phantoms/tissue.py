"""A breast without a lesion, as a map of echo strength in dB: skin, fat, gland, fascia, muscle, chest wall."""

from __future__ import annotations

import cv2
import numpy as np

from utils.images.phantoms.fields import curve, field, step, warp


def draw_tissue(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Echo strength in dB below the brightest interface, float32, (height, width).

    How much fat and gland there is, how deep the view reaches and how the layers run differs from case to case.
    """
    height, width = shape
    depth = np.arange(height, dtype=np.float32)[:, None] / np.float32(height)
    skin = rng.uniform(0.015, 0.05)
    # Depths of the four interfaces; the gland is nearly absent in fatty breasts and fills dense ones.
    fat = skin + rng.uniform(0.04, 0.38)
    gland = fat + rng.uniform(0.08, 0.62)
    muscle = gland + rng.uniform(0.08, 0.32)
    edges = [
        base + roughness * curve(width, points, rng)[None, :]
        for base, roughness, points in (
            (skin, 0.004, 4),
            (fat, rng.uniform(0.01, 0.05), rng.uniform(2, 7)),
            (gland, rng.uniform(0.01, 0.05), rng.uniform(2, 5)),
            (muscle, rng.uniform(0.005, 0.03), 3),
        )
    ]
    sharp = rng.uniform(0.003, 0.02)
    inside = [step(depth - edge, width) for edge, width in zip(edges, (0.003, sharp, 0.012, 0.008), strict=True)]
    level = _skin(depth, skin, rng) * (1 - inside[0])
    level += (_fat(shape, rng) + rng.normal(-21, 3.5)) * (inside[0] - inside[1])
    level += (_gland(shape, rng) + rng.normal(-12, 3.0)) * (inside[1] - inside[2])
    level += (_muscle(shape, rng) + rng.normal(-23, 4.0)) * (inside[2] - inside[3])
    level += (_muscle(shape, rng) + rng.normal(-31, 5.0)) * inside[3]
    # The fasciae: thin, bright, interrupted.
    for edge, strength in zip(edges[1:], (rng.uniform(0, 7), rng.uniform(2, 11), rng.uniform(2, 13)), strict=True):
        broken = np.clip(0.6 + 0.6 * curve(width, 7, rng), 0, 1)[None, :]
        level += np.float32(strength) * broken * _bump(depth - edge, rng.uniform(0.006, 0.016))
    for _ in range(rng.poisson(1.1)):
        level += _lobule(shape, rng)
    return _bent(level, rng)


def draw_losses(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """What weakens the echoes on their way, in dB, float32, (height, width): depth, poor contact, ligaments."""
    height, width = shape
    depth = np.arange(height, dtype=np.float32)[:, None] / np.float32(height)
    # What time gain compensation leaves: a slope, and the humps of its sliders.
    start = rng.uniform(0.25, 0.8)
    losses = -rng.uniform(0, 26) * np.maximum(depth - np.float32(start), 0) - rng.uniform(-3, 8) * depth
    losses = losses + 1.6 * curve(height, 5, rng)[:, None] + rng.uniform(0.4, 2.2) * curve(width, 4, rng)[None, :]
    columns = np.arange(width, dtype=np.float32)
    for _ in range(rng.poisson(0.9)):
        centre, half, slant = rng.uniform(0, width), rng.uniform(0.02, 0.09) * width, rng.normal(0, 0.12) * width
        across = _bump(columns[None, :] - np.float32(centre) - np.float32(slant) * depth, half)
        losses -= np.float32(rng.uniform(3, 15)) * across * step(depth - np.float32(rng.uniform(0, 0.55)), 0.03)
    if rng.random() < 0.15:
        # A strip of the probe that does not touch the skin.
        side = rng.choice([-1.0, 1.0])
        rim = np.float32(width * rng.uniform(0.04, 0.2))
        distance = columns if side < 0 else columns[::-1]
        losses -= np.float32(rng.uniform(6, 18)) * step(rim - distance, 4.0)[None, :]
    return losses.astype(np.float32)


def _skin(depth: np.ndarray, thickness: float, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-10, -4) - rng.uniform(2, 9) * _bump(depth - np.float32(thickness / 2), thickness / 3)


def _fat(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Lobules with Cooper's ligaments between them: a Voronoi pattern, wider than tall, some walls missing."""
    height, width = shape
    count = int(rng.integers(8, 28))
    # Half the resolution suffices for walls of two pixels and costs a quarter.
    rows = np.arange(0, height, 2, dtype=np.float32)[:, None, None] / height
    columns = np.arange(0, width, 2, dtype=np.float32)[None, :, None] / width
    flat = np.float32(rng.uniform(1.6, 3.6))
    seeds = rng.random((2, count), dtype=np.float32)
    squared = ((rows - seeds[0]) * flat) ** 2 + (columns - seeds[1]) ** 2
    squared.partition(1, axis=-1)
    gap = np.sqrt(squared[..., 1]) - np.sqrt(squared[..., 0])
    walls = np.exp(-gap / np.float32(rng.uniform(0.008, 0.022)))
    walls = cv2.resize(walls, (width, height), interpolation=cv2.INTER_LINEAR)
    present = np.clip(0.45 + 0.7 * field(shape, 5, 5, rng), 0, 1)
    patches = rng.uniform(0.8, 2.5) * field(shape, 7, 5, rng)
    fine = rng.uniform(0.4, 1.4) * field(shape, height / 5, width / 12, rng)
    return rng.uniform(6, 18) * walls * present + patches + fine


def _gland(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Bright fibrous tissue in streaks, with dark ducts and fat islands in it where there are any."""
    height, width = shape
    streaks = rng.uniform(1.5, 5.0) * field(shape, height / rng.uniform(3.5, 8), width / rng.uniform(10, 40), rng)
    patches = rng.uniform(1.0, 4.5) * field(shape, rng.uniform(3, 9), rng.uniform(2, 7), rng)
    level = streaks + patches
    if rng.random() < 0.45:
        spots = field(shape, height / rng.uniform(9, 22), width / rng.uniform(13, 34), rng)
        level -= rng.uniform(4, 13) * step(spots - np.float32(rng.uniform(0.5, 1.5)), 0.12)
    return level


def _muscle(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Dark, with long bright fibres along the layer."""
    height, width = shape
    fibres = field(shape, height / rng.uniform(3, 6), width / rng.uniform(25, 70), rng)
    return rng.uniform(1.5, 4.5) * np.maximum(fibres, -0.6) + rng.uniform(0.5, 2.0) * field(shape, 4, 3, rng)


def _lobule(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A fat lobule within other tissue: dark, oval, easily taken for a lesion, and drawn in every class."""
    height, width = shape
    half_width = rng.uniform(0.035, 0.13) * width
    half_height = half_width * rng.uniform(0.3, 0.85)
    row, column = rng.uniform(0.12, 0.75) * height, rng.uniform(0, width)
    down = (np.arange(height, dtype=np.float32)[:, None] - np.float32(row)) / np.float32(half_height)
    across = (np.arange(width, dtype=np.float32)[None, :] - np.float32(column)) / np.float32(half_width)
    down = down + np.float32(rng.normal(0, 0.25)) * across
    distance = np.sqrt(down**2 + across**2) - 1 + np.float32(0.12) * field(shape, 8, 8, rng)
    return -np.float32(rng.uniform(3, 11)) * step(-distance, rng.uniform(0.05, 0.2))


def _bent(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The layers as the probe's pressure leaves them: tilted, bowed, wavy; flat at the skin."""
    height, width = level.shape
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    bend = rng.normal(0, 0.16) * across + rng.normal(0, 0.3) * (across**2 - np.float32(0.08))
    bend = bend + rng.uniform(0.005, 0.03) * field(level.shape, 3, 4, rng)
    deeper = np.minimum(np.arange(height, dtype=np.float32)[:, None] / np.float32(0.25 * height), 1)
    return warp(level, np.float32(height) * bend * deeper)


def _bump(distance: np.ndarray, width: float) -> np.ndarray:
    """1 where `distance` is 0, falling off as a Gaussian over about `width`."""
    return np.exp(-((distance / np.float32(width)) ** 2))
