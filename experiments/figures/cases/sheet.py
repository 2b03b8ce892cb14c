"""The worst, the median and the best cases of a configuration as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.cases.overlay import legend_handles, overlay
from experiments.figures.data import CannotDrawError, CaseScore, FigureData
from experiments.figures.figure import Chart, Figure
from experiments.figures.labels import metric_name, shorten
from experiments.figures.style import WIDTH, bare, canvas, styled
from experiments.leaderboard.line import Line
from experiments.ledger.record import CHECKPOINT
from utils.images.cache import ImageCache
from utils.images.resizing import resize_image

EACH = 2
"""Cases of each kind."""

# Larger pictures are not seen any better in a panel of this size, and make heavy files.
_LARGEST_SIDE = 320
_TITLE = 9.5
_COLUMNS = ("Image", "Truth", "Prediction")


@dataclass(frozen=True)
class Picture:
    """One row of the sheet. image: uint8, grey or RGB; truth, prediction: boolean (height, width)."""

    kind: str
    case: CaseScore
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def overlays(data: FigureData) -> Chart:
    """The sheet of the best configuration."""
    return _chart(data, data.best(), "overlays")


def overlay_sheet(data: FigureData, configuration: str, folder: Path) -> Figure:
    """The sheet of any complete configuration, written to ``overlays_<id>.png`` and ``.svg`` in `folder`.

    Raises CannotDrawError where its scores, images or networks are not there, KeyError for an unknown id.
    """
    line = data.leaderboard.line(configuration)
    if line.summary is None:
        raise CannotDrawError(f"{line.entry.name} has not finished all its folds")
    with styled():
        return _chart(data, line, f"overlays_{configuration}").save(folder)


def chosen(cases: Sequence[CaseScore], sign: int, each: int = EACH) -> list[tuple[str, CaseScore]]:
    """(kind, case): the `each` worst, most median and best cases by score, worst first, equals by id.

    sign: +1 if a higher score is better. Of fewer than three times `each` cases all are answered, once each.
    """
    order = sorted(cases, key=lambda case: (sign * case.score, case.case, case.fold))
    each = min(each, max(1, len(order) // 3))
    middle = max(each, (len(order) - each) // 2)
    parts = {"worst": order[:each], "median": order[middle : middle + each], "best": order[-each:]}
    kinds: dict[CaseScore, str] = {}
    for kind, part in parts.items():
        for case in part:
            kinds.setdefault(case, kind)
    return [(kind, case) for case, kind in kinds.items()]


def _chart(data: FigureData, line: Line, name: str) -> Chart:
    pictures = _pictures(data, line)
    heights = [picture.image.shape[0] / picture.image.shape[1] for picture in pictures]
    panel = (WIDTH - 0.4) / len(_COLUMNS)
    figure = canvas(1.3 + sum(0.3 + panel * height for height in heights), f"Cases of {shorten(line.entry.name)}")
    grid = figure.subplots(len(pictures), len(_COLUMNS), squeeze=False, height_ratios=heights)
    for axes, picture in zip(grid, pictures, strict=True):
        _row(list(axes), picture, metric_name(data.case_metric))
    for axes, column in zip(grid[0], _COLUMNS, strict=True):
        axes.set_title(f"{column}\n{axes.get_title(loc='left')}", fontsize=_TITLE)
    figure.legend(handles=legend_handles(), loc="outside lower center", ncols=3, columnspacing=1.2)
    caption = (
        f"The worst, median and best test cases of {line.entry.name} by {metric_name(data.case_metric)}: the image, "
        "the true lesion in white, and the prediction of the fold's own network over the image: found in green, "
        "made up in orange, missed in blue."
    )
    return Chart(name, f"Worst, median and best cases of {line.entry.name}", caption, figure)


def _pictures(data: FigureData, line: Line) -> list[Picture]:
    cache = data.images(line)
    if data.predict is None:
        raise CannotDrawError("networks cannot be opened here")
    cases = chosen(data.case_scores(line), data.case_sign)
    maps: dict[CaseScore, np.ndarray] = {}
    for fold in sorted({case.fold for _, case in cases}):
        if not (data.folder(line.entry.id, fold) / CHECKPOINT).is_file():
            raise CannotDrawError(f"fold {fold} of {line.entry.name} has no {CHECKPOINT} any more")
        tested = [case for _, case in cases if case.fold == fold]
        answers = data.predict(line.entry.id, fold, [cache.index(case.case) for case in tested])
        maps |= dict(zip(tested, answers, strict=True))
    return [_picture(kind, case, cache, maps[case]) for kind, case in cases]


def _picture(kind: str, case: CaseScore, cache: ImageCache, probability: np.ndarray) -> Picture:
    """Masks are cut at the image's own size, where they were scored, and only then made smaller."""
    position = cache.index(case.case)
    height, width = cache.native_size(position)
    share = min(1.0, _LARGEST_SIDE / max(height, width))
    size = (max(1, round(height * share)), max(1, round(width * share)))
    truth, prediction = cache.native_mask(position) > 0, probability > 0.5
    rows = np.minimum((np.arange(size[0]) + 0.5) * height / size[0], height - 1).astype(np.int64)
    columns = np.minimum((np.arange(size[1]) + 0.5) * width / size[1], width - 1).astype(np.int64)
    picked = np.ix_(rows, columns)
    image = resize_image(np.ascontiguousarray(cache.images[position]), size)
    return Picture(kind, case, image, truth[picked], prediction[picked])


def _row(axes: list[Axes], picture: Picture, metric: str) -> None:
    tinted = overlay(picture.image, picture.prediction, picture.truth)
    panels = (picture.image, picture.truth.astype(np.uint8) * 255, tinted)
    for each, pixels in zip(axes, panels, strict=True):
        each.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        bare(each)
    title = f"{picture.kind}: {shorten(picture.case.case, 30)}, {metric} {picture.case.score:.3f}"
    axes[0].set_title(title, fontsize=_TITLE)
