"""What pictures of predictions are drawn with: OpenCV, since a folder has thousands of images."""

from __future__ import annotations

import threading

import cv2
import numpy as np

Color = tuple[int, int, int]

INK: Color = (34, 34, 34)
FAINT: Color = (221, 221, 221)
PAPER: Color = (255, 255, 255)
# Okabe and Ito's vermillion, sky blue and blue, in RGB.
LESION: Color = (213, 94, 0)
TRUTH: Color = (86, 180, 233)
BAR: Color = (0, 114, 178)


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) with the longer side `side` pixels, in the proportions of `size`."""
    height, width = size
    share = side / max(height, width)
    return max(1, round(height * share)), max(1, round(width * share))


def rgb(image: np.ndarray) -> np.ndarray:
    """uint8, (height, width) or RGB (height, width, 3), as the latter."""
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


def tinted(picture: np.ndarray, mask: np.ndarray, color: Color, opacity: float) -> np.ndarray:
    """A copy of an RGB picture with the pixels of a mask (height, width) coloured. opacity: 0 to 1."""
    painted = picture.copy()
    area = mask > 0
    painted[area] = np.round((1 - opacity) * painted[area] + opacity * np.array(color)).astype(np.uint8)
    return painted


def outline(picture: np.ndarray, mask: np.ndarray, color: Color, thickness: int = 2) -> None:
    """Draws the outer contours of a mask, boolean or uint8 (height, width), into an RGB picture."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, color, thickness, cv2.LINE_AA)


def heat(shares: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1], (height, width), as colours from black to yellow, RGB."""
    levels = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def write(page: np.ndarray, text: str, left: int, base: int, size: int, color: Color = INK) -> None:
    """Writes into an RGB page; `base` is the line that the letters stand on."""
    # OpenCV's own TrueType font, which knows more than ASCII. It keeps what it has drawn: one for each thread.
    if not hasattr(_FONTS, "sans"):
        _FONTS.sans = cv2.FontFace("sans")
    cv2.putText(page, text, (left, base), color, _FONTS.sans, size, _WEIGHT)


def width_of(text: str, size: int) -> int:
    """Pixels that a written text takes."""
    if not hasattr(_FONTS, "sans"):
        _FONTS.sans = cv2.FontFace("sans")
    return int(cv2.getTextSize((1, 1), text, (0, 0), _FONTS.sans, size, _WEIGHT)[2])


_FONTS, _WEIGHT = threading.local(), 400
