"""All images on one page, for machines without a display."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from experiments.prediction.images.drawing import PAPER
from experiments.viewer.desk import Desk
from experiments.viewer.picture import rendered

FILE = "contact_sheet.png"
MOST = 48
"""Images on a page; more are not looked at."""

_SIDE, _GAP, _ACROSS = 380, 10, 4


def contact_sheet(desk: Desk, check: Callable[[], None]) -> np.ndarray:
    """RGB uint8: the first `MOST` images of a desk as they would be seen first, row by row.

    check: called before each; may raise to stop.
    """
    first = desk.first()
    tiles = []
    for index in range(min(first.count, MOST)):
        check()
        view = replace(first, index=index)
        tiles.append(rendered(view, desk.seen(view), desk.ensemble.classes, _SIDE))
    return _tiled(tiles)


def _tiled(tiles: Sequence[np.ndarray]) -> np.ndarray:
    across = min(_ACROSS, len(tiles))
    rows = [tiles[start : start + across] for start in range(0, len(tiles), across)]
    width = max(tile.shape[1] for tile in tiles)
    heights = [max(tile.shape[0] for tile in row) for row in rows]
    page = np.full((sum(heights) + _GAP * (len(rows) + 1), _GAP + across * (width + _GAP), 3), PAPER, np.uint8)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        for place, tile in enumerate(row):
            left = _GAP + place * (width + _GAP)
            page[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        top += height + _GAP
    return page
