"""What figures are drawn from: the leaderboard, and the images and networks that are still at hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from experiments.accounting.balance import balance_of
from experiments.figures import CannotDrawError, FigureData, overlay_sheet
from experiments.opened import OpenedSweep
from experiments.prediction import TrainedNetwork, open_run
from experiments.preparation import PlannedConfiguration, StageProgress
from utils.errors import UserError
from utils.images.cache import ImageCache, cache_key

SHEETS = 5
"""Configurations of the tie whose overlays are drawn for the study: each has to open a network for every fold."""


def figure_data(opened: OpenedSweep) -> FigureData:
    """One sweep, as figures see it. A cache of images that is gone is not built again: nobody waits for that."""
    planned = {one.id: one for one in opened.planned}
    caches: dict[Path, ImageCache | None] = {}

    def cache(configuration: str) -> ImageCache | None:
        folder = opened.results / "cache" / _cache_name(planned[configuration])
        if folder not in caches:
            caches[folder] = _opened_cache(folder, planned[configuration])
        return caches[folder]

    # Several pictures of one network are asked for in a row.
    @lru_cache(maxsize=1)
    def network(configuration: str, fold: int) -> TrainedNetwork:
        images = cache(configuration)
        if images is None:
            raise CannotDrawError("the images of the data set are not at hand")
        try:
            return open_run(opened.ledger.folder(configuration, fold), images, opened.records[configuration, fold])
        except UserError as error:
            raise CannotDrawError(str(error)) from error

    def predict(configuration: str, fold: int, positions: Sequence[int]) -> Sequence[np.ndarray]:
        return [prediction.probability for prediction in network(configuration, fold).predict(positions)]

    return FigureData(opened.leaderboard, opened.ledger.folder, cache, predict, balance_of(opened))


def draw_sheets(data: FigureData, folder: Path, on_progress: StageProgress) -> None:
    """Overlays of the first configurations of the tie into `folder`, as ``overlays_<id>.png``; as far as it can."""
    tie = [line for line in data.leaderboard.ranked() if line.rank is not None and line.tied][:SHEETS]
    for done, line in enumerate(tie, start=1):
        try:
            overlay_sheet(data, line.entry.id, folder)
        except CannotDrawError:
            return  # the sheet of the best is among the figures, and the reason is given there
        on_progress("Drawing overlays", done, len(tie))


def sheets_in(figures: Path, sheets: Path, configurations: Sequence[str]) -> dict[str, list[Path]]:
    """Configuration id -> the pictures of it that were drawn: its overlays and the animations of its runs."""
    found = {
        id: [*sorted(sheets.glob(f"overlays_{id}.png")), *sorted(figures.glob(f"evolution_{id}_*.gif"))]
        for id in configurations
    }
    return {id: paths for id, paths in found.items() if paths}


def _cache_name(planned: PlannedConfiguration) -> str:
    dataset, source = planned.configuration.settings.dataset, planned.source
    parts = [(part.name, dict(part.options)) for part in dataset.preprocessing]
    return cache_key(source.contents, parts, dataset.height_width, source.dataset.classes)


def _opened_cache(folder: Path, planned: PlannedConfiguration) -> ImageCache | None:
    try:
        return ImageCache(folder, planned.source.audit.groups)
    except (UserError, OSError):
        return None
