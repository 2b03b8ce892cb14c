"""How the prediction of a run changed from epoch to epoch."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from PIL import Image, ImageDraw, ImageFont

from experiments.figures.cases.overlay import COLORS, overlay
from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.figure import Animation
from experiments.figures.labels import shorten
from experiments.leaderboard.line import Line
from experiments.training.evaluation.snapshots import SNAPSHOTS, Snapshots
from utils.images.cache import ImageCache
from utils.images.resizing import resize_image

MOST_RUNS = 3
MOST_CASES = 3
MOST_FRAMES = 40

_TILE, _GAP, _TEXT = 208, 8, 13
_HEAD, _FOOT = 30, 46


def runs_with_snapshots(data: FigureData) -> list[tuple[Line, int]]:
    """The runs to show: of each of the first tied rows that kept snapshots its first fold that did."""
    found = []
    for line in data.ranked():
        folds = [fold for fold in line.entry.folds if (data.folder(line.entry.id, fold) / SNAPSHOTS).is_file()]
        if line.tied and folds:
            found.append((line, folds[0]))
    return found[:MOST_RUNS]


def evolution(data: FigureData, line: Line, fold: int) -> Animation:
    """The animation of one run. Raises CannotDrawError without images or snapshots."""
    cache = data.images(line)
    snapshots = _snapshots(data.folder(line.entry.id, fold) / SNAPSHOTS)
    title = f"{shorten(line.entry.name, 40)}, fold {fold}"
    frames = [_frame(snapshots, number, cache, title) for number in _frames_of(len(snapshots.epochs))]
    caption = (
        f"The prediction of {line.entry.name}, fold {fold}, for cases {_listed(snapshots)} after its epochs "
        f"{snapshots.epochs[0]} to {snapshots.epochs[-1]}, at the network's resolution: found in green, made up in "
        "orange, missed in blue."
    )
    return Animation(f"evolution_{line.entry.id}_fold-{fold}", f"Evolution of {title}", caption, frames)


def _snapshots(path: Path) -> Snapshots:
    found = Snapshots.read(path)
    if found is None or not found.epochs or not found.cases:
        raise CannotDrawError(f"{path.name} cannot be read or holds nothing")
    return found


def _frames_of(epochs: int) -> list[int]:
    """Which snapshots become frames: all, or as many as there may be, evenly, the first and the last among them."""
    return sorted({round(number) for number in np.linspace(0, epochs - 1, min(epochs, MOST_FRAMES))})


def _frame(snapshots: Snapshots, number: int, cache: ImageCache, title: str) -> Image.Image:
    tiles = [_tile(snapshots, number, case, cache) for case in range(min(len(snapshots.cases), MOST_CASES))]
    width = _GAP + max(2, len(tiles)) * (_TILE + _GAP)
    height = _HEAD + max(tile.height for tile in tiles) + _FOOT
    frame = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(frame)
    epoch = f"epoch {snapshots.epochs[number]}"
    draw.text((_GAP, 8), title, "black", _font())
    draw.text((width - _GAP - draw.textlength(epoch, _font()), 8), epoch, "black", _font())
    for column, tile in enumerate(tiles):
        left = _GAP + column * (_TILE + _GAP)
        frame.paste(tile, (left, _HEAD))
        draw.text((left, _HEAD + tile.height + 3), shorten(snapshots.cases[column], 26), "#444444", _font())
    _legend(draw, height - 21)
    return frame


def _tile(snapshots: Snapshots, number: int, case: int, cache: ImageCache) -> Image.Image:
    position = cache.index(snapshots.cases[case])
    # Nearest neighbours: the network's own pixels, each as large as it is.
    truth = _enlarged(cache.masks[position]) > 0
    prediction = _enlarged(snapshots.maps[number, case]) > 127
    image = resize_image(np.ascontiguousarray(cache.images[position]), (_TILE, _TILE))
    return Image.fromarray(overlay(image, prediction, truth))


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(pixels), (_TILE, _TILE), interpolation=cv2.INTER_NEAREST)


def _legend(draw: ImageDraw.ImageDraw, top: int) -> None:
    left = float(_GAP)
    for name, color in COLORS.items():
        draw.rectangle((left, top + 2, left + 11, top + 13), fill=color)
        draw.text((left + 16, top), name, "#444444", _font())
        left += 16 + draw.textlength(name, _font()) + 16


def _font() -> ImageFont.FreeTypeFont:
    """The font of the other figures; matplotlib brings it along."""
    return ImageFont.truetype(findfont(FontProperties(family="DejaVu Sans")), _TEXT)


def _listed(snapshots: Snapshots) -> str:
    return ", ".join(snapshots.cases[:MOST_CASES])
