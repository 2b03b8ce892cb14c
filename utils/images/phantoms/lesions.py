"""Lesions: outlines, inner echoes and what they do to the sound behind them.

The signs are those that radiologists read (ACR BI-RADS Atlas, ultrasound lexicon, 2013): orientation, shape,
margin, echo pattern and posterior features. They overlap between the classes, as they do in patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from utils.images.phantoms.fields import curve, field, step

_SPOKES = 512


@dataclass(frozen=True)
class Lesion:
    """One lesion, drawn; the maps are float32, (height, width).

    mask: bool, inside the outline.
    cover: 0 outside, 1 inside, soft at the margin.
    echo: dB relative to the tissue around, where the lesion covers it.
    rim: dB to add along the outline: a capsule or an echogenic halo.
    behind: dB to add to what lies deeper; shadows are below 0, enhancement above.
    """

    mask: np.ndarray
    cover: np.ndarray
    echo: np.ndarray
    rim: np.ndarray
    behind: np.ndarray


@dataclass(frozen=True)
class Outline:
    """Where a lesion is: centre and semi-axes in pixels, tilt in radians, and the radius along 512 spokes."""

    row: float
    column: float
    half_height: float
    half_width: float
    tilt: float
    spokes: np.ndarray

    def distance(self, shape: tuple[int, int]) -> np.ndarray:
        """0 on the outline, -1 at the centre, above 0 outside, in units of the radius in that direction."""
        down = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(self.row)
        across = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(self.column)
        cosine, sine = np.float32(np.cos(self.tilt)), np.float32(np.sin(self.tilt))
        u = (across * cosine + down * sine) / np.float32(self.half_width)
        v = (down * cosine - across * sine) / np.float32(self.half_height)
        radius, angle = cv2.cartToPolar(u, v)
        spoke = (angle * np.float32(_SPOKES / (2 * np.pi))).astype(np.int32) % _SPOKES
        return radius / self.spokes[spoke] - 1


def draw_lesion(label: str, shape: tuple[int, int], rng: np.random.Generator, second: bool = False) -> Lesion:
    """A benign or malignant lesion at a random place of an image of `shape`; a second one of a case is small."""
    benign = label == "benign"
    # About a sixth has the other class's margin: circumscribed cancers, lobulated fibroadenomas.
    smooth = bool(rng.random() < 0.84) == benign
    outline = _outline(benign, smooth, shape, rng, second)
    distance = outline.distance(shape)
    cover = step(-distance, rng.uniform(0.02, 0.07) if smooth else rng.uniform(0.04, 0.14))
    mask = _without_crumbs(distance < 0)
    echo, cystic = _echo(benign, mask, shape, rng)
    return Lesion(mask, cover, echo, _rim(distance, smooth, rng), _behind(cover, outline, benign, smooth, cystic, rng))


def _outline(benign: bool, smooth: bool, shape: tuple[int, int], rng: np.random.Generator, second: bool) -> Outline:
    height, width = shape
    if benign:
        area = rng.lognormal(np.log(0.045), 0.85)
        ratio = rng.lognormal(np.log(0.62), 0.22)
        spot = (0.16, 0.66)
    else:
        area = rng.lognormal(np.log(0.095), 0.6)
        ratio = rng.lognormal(np.log(1.15), 0.24)
        spot = (0.2, 0.62)
    pixels = np.clip(area * (0.35 if second else 1.0), 0.006, 0.3) * height * width
    half_height = min(np.sqrt(pixels * ratio / np.pi), 0.36 * height)
    half_width = min(np.sqrt(pixels / ratio / np.pi), 0.42 * width)
    top = max(spot[0] * height, 0.06 * height + half_height)
    row = rng.uniform(top, max(top, spot[1] * height))
    # Some are cut by the rim of the image, as a probe's field of view cuts them.
    reach = rng.uniform(0.7, 1.3) * half_width
    column = rng.uniform(min(reach, width / 2), max(width - reach, width / 2))
    tilt = rng.normal(0.0, 0.14 if benign else 0.2)
    return Outline(row, column, half_height, half_width, tilt, _spokes(benign, smooth, rng))


def _spokes(benign: bool, smooth: bool, rng: np.random.Generator) -> np.ndarray:
    """The radius in 512 directions, float32, with a root mean square of 1, so that the area is kept."""
    angle = np.arange(_SPOKES) * (2 * np.pi / _SPOKES)
    radius = np.ones(_SPOKES)
    # Waves round the outline: a few for lobules, more for an angular or microlobulated margin.
    waves = range(2, 5) if smooth else range(2, 7) if benign else range(2, 14)
    for wave in waves:
        size = rng.normal(0.0, (0.09 if smooth else 0.26) / wave)
        radius += size * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    radius = np.maximum(radius, 0.5)
    if not benign and not smooth and rng.random() < 0.7:
        # Spicules: strands of tumour and of tissue drawn in by it, broad at their base.
        for _ in range(rng.integers(2, 9)):
            away = np.angle(np.exp(1j * (angle - rng.uniform(0, 2 * np.pi))))
            radius += rng.uniform(0.08, 0.5) * np.exp(-np.abs(away) / rng.uniform(0.08, 0.2))
    return (radius / np.sqrt(np.mean(radius**2))).astype(np.float32)


def _echo(benign: bool, mask: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """dB relative to the tissue around, and whether the lesion is a cyst, which lets sound pass unweakened."""
    kind = rng.random()
    cystic = bool(benign and kind < 0.14)
    if cystic:
        level = rng.uniform(-32, -22)
    elif kind > 0.93:
        level = rng.uniform(-3.5, -1.0)
    elif kind > 0.90 and benign:
        level = rng.uniform(0.5, 4.0)
    else:
        level = np.clip(rng.normal(-12.0, 4.5) if benign else rng.normal(-9.5, 4.0), -24, -3)
    patches = rng.uniform(0.4, 1.8) if benign else rng.uniform(0.8, 3.2)
    echo = level + patches * field(shape, 14, 12, rng)
    if rng.random() < (0.08 if benign else 0.25):
        places = np.argwhere(mask)
        for row, column in places[rng.integers(0, len(places), rng.integers(3, 14))]:
            # Calcifications: a pixel or two, far brighter than anything near.
            echo[row, column : column + rng.integers(1, 3)] += rng.uniform(12, 22)
    return echo.astype(np.float32), cystic


def _rim(distance: np.ndarray, smooth: bool, rng: np.random.Generator) -> np.ndarray:
    """A thin bright capsule round smooth lesions, a broad halo round the others; half of them have none."""
    if rng.random() < 0.5:
        return np.zeros_like(distance)
    strength = rng.uniform(2, 6) if smooth else rng.uniform(2, 5)
    width = rng.uniform(0.04, 0.09) if smooth else rng.uniform(0.12, 0.28)
    return (strength * np.exp(-(((distance - width) / np.float32(width)) ** 2))).astype(np.float32)


def _behind(
    cover: np.ndarray, outline: Outline, benign: bool, smooth: bool, cystic: bool, rng: np.random.Generator
) -> np.ndarray:
    """What builds up along each scan line through the lesion, in dB, and the shadows of its edges."""
    kind = rng.random()
    if cystic or kind < (0.42 if benign else 0.1):
        change = rng.uniform(3, 9)
    elif kind > (0.9 if benign else 0.42):
        change = -(rng.uniform(3, 8) if benign else rng.uniform(4, 18))
    else:
        change = rng.uniform(-2, 2)
    path = np.cumsum(cover, axis=0) / np.float32(2 * outline.half_height)
    uneven = 1 + np.float32(0.25) * curve(cover.shape[1], 14, rng)
    behind = np.float32(change) * np.minimum(path, 1.2) * uneven
    if smooth and rng.random() < 0.4:
        columns = np.arange(cover.shape[1], dtype=np.float32)
        deeper = step(np.arange(cover.shape[0], dtype=np.float32)[:, None] - np.float32(outline.row), 4.0)
        for side in (-1, 1):
            offset = (columns - np.float32(outline.column + side * 0.97 * outline.half_width)) / np.float32(2.2)
            behind -= np.float32(rng.uniform(2, 7)) * deeper * np.exp(-(offset**2))[None, :]
    return cv2.GaussianBlur(behind, (0, 0), sigmaX=2.0, sigmaY=0.8)


def _without_crumbs(mask: np.ndarray, least: int = 12) -> np.ndarray:
    """`mask` without the specks into which the tip of a spicule falls apart on the pixel grid."""
    _, labels, figures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = figures[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    return large[labels]
