"""Tiles of stained tissue with an instance mask each, a folder for every class: own data, and several public sets.

Such as NuInsSeg (A. Mahbod et al., Scientific Data 11 (2024) 295, doi 10.1038/s41597-024-03117-2; on Kaggle and Zenodo,
CC BY 4.0), whose folders are organs with ``tissue images`` and ``label masks``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from utils.datasets.case import DATASETS
from utils.datasets.files.naming import NamePattern
from utils.datasets.histology.tiles import GRADES, Tiles


@DATASETS.register("nuclei")
class Nuclei(Tiles):
    """``mild/images/S07_tile_3.png`` and ``mild/labels/S07_tile_3.png``, in which every nucleus has its own value.

    A file of labels holds 0 for the background and a grey value of 8 or 16 bits, or a colour, for each nucleus. Tiles
    of one slide are one group, of whatever class they are.

    root: the folder of the class folders, or the one above it.
    classes: the names of the class folders, in the order of the network's outputs.
    images, labels: the names of the two folders in each.
    slide: a regular expression whose first group is the slide in the name of a tile; what comes before its first
        underscore where it is left out.
    """

    layout = "a folder for each class, in it images/<slide>_<tile>.png and labels/<slide>_<tile>.png"

    def __init__(
        self,
        root: Path | None,
        *,
        classes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = GRADES,
        images: Annotated[str, Field(min_length=1)] = "images",
        labels: Annotated[str, Field(min_length=1)] = "labels",
        slide: str = r"^([^_]+)_",
    ) -> None:
        super().__init__(root, classes, NamePattern(slide, "slide"))
        self.images, self.labels = images, labels

    def _folders(self) -> Mapping[str, tuple[Path, Path]]:
        names = [f"{label}/{part}" for label in self.classes for part in (self.images, self.labels)]
        place = self._folder(names)
        return {label: (place / label / self.images, place / label / self.labels) for label in self.classes}
