"""Smooth random fields and curves: what tissue is drawn with."""

from __future__ import annotations

import cv2
import numpy as np


def field(shape: tuple[int, int], rows: float, columns: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field, float32, (height, width), mean near 0 and standard deviation near 1.

    rows, columns: about how many independent values there are down and across; few give large patches.
    """
    # Two more on each side, cut off again: interpolation is flat at the rim of the grid.
    grid = (max(2, round(rows)) + 4, max(2, round(columns)) + 4)
    coarse = rng.standard_normal(grid, dtype=np.float32)
    height, width = shape
    over = (round(height * grid[0] / (grid[0] - 4)), round(width * grid[1] / (grid[1] - 4)))
    fine = cv2.resize(coarse, (over[1], over[0]), interpolation=cv2.INTER_CUBIC)
    top, left = (over[0] - height) // 2, (over[1] - width) // 2
    # Interpolation between independent values loses about half of their variance.
    return fine[top : top + height, left : left + width] * np.float32(1.35)


def curve(length: int, points: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random curve, float32, (length,), with about `points` independent values, standard deviation near 1."""
    return field((8, length), 2, points, rng)[4]


def warp(image: np.ndarray, down: np.ndarray, across: np.ndarray | float = 0.0) -> np.ndarray:
    """`image` moved by `down` and `across` pixels at each place, reflected at the rim."""
    height, width = image.shape
    rows = np.arange(height, dtype=np.float32)[:, None] - down
    columns = np.arange(width, dtype=np.float32)[None, :] - across
    rows, columns = np.broadcast_arrays(rows.astype(np.float32), columns.astype(np.float32))
    return cv2.remap(
        image,
        np.ascontiguousarray(columns),
        np.ascontiguousarray(rows),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


def step(distance: np.ndarray, width: float) -> np.ndarray:
    """A soft step from 0 to 1 where `distance` passes 0, over about `width`, float32."""
    return 0.5 + 0.5 * np.tanh(distance / np.float32(2 * width))
