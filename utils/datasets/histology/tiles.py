"""Tiles cut from slides, with a file that tells one nucleus from the next: what datasets of them have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from utils.datasets.case import Case
from utils.datasets.files import FileDataset
from utils.datasets.files.dataset import images_in
from utils.datasets.files.instances import numbered
from utils.datasets.files.naming import NamePattern
from utils.images.reading import read_stored

GRADES = ("healthy", "mild", "moderate", "severe")
"""Of epithelial dysplasia; healthy tissue has nuclei as well."""


class Tiles(FileDataset):
    """Base of a dataset of tiles: a subclass says where, for each class, images and instance masks lie."""

    def __init__(self, root: Path | None, classes: Iterable[str], slide: NamePattern) -> None:
        super().__init__(root)
        self.classes = self.lesion_classes = tuple(classes)
        self.slide = slide

    def cases(self) -> list[Case]:
        """All tiles, sorted by id, ``<class>/<name>``; one without a mask file has `masks` empty.

        Raises UserError when the root is missing or has another layout, and for a name that tells no slide.
        """
        cases = []
        for label, (images, masks) in self._folders().items():
            drawn = images_in(masks)
            for name, image in images_in(images).items():
                found = (drawn[name],) if name in drawn else ()
                cases.append(Case(f"{label}/{name}", label, image, found, self.slide.find(name)))
        if not cases:
            raise self._refused(self.root, "the folders of images are empty")
        return sorted(cases, key=lambda case: case.id)

    def orphan_masks(self) -> list[Path]:
        """Mask files whose image is not there, sorted. Raises UserError as `cases` does."""
        orphans: list[Path] = []
        for images, masks in self._folders().values():
            there = images_in(images)
            orphans += [path for name, path in images_in(masks).items() if name not in there]
        return sorted(orphans)

    def read_instances(self, case: Case) -> np.ndarray:
        """int32, (height, width): the nuclei 1, 2, ... on 0. Raises OSError if the file is unreadable or missing."""
        if not case.masks:
            raise FileNotFoundError(f"{self._expected_mask(case)}: missing; case {case.id} has no mask")
        return numbered(read_stored(self._inside(case.masks[0])))

    def _folders(self) -> Mapping[str, tuple[Path, Path]]:
        """Class -> the folders of its images and of their masks. Raises UserError if one is not there."""
        raise NotImplementedError

    def _expected_mask(self, case: Case) -> Path:
        image = case.image or Path(f"{case.id}.png")
        return self._folders()[case.label][1] / f"{image.stem}.png"
