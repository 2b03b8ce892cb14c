"""Any images at all: a CSV says where image and mask lie, and what else is known of each case.

For data of your own. It has no licence and no source but yours.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from pydantic import Field

from utils.datasets.case import DATASETS, SOURCE, SPLIT, Case
from utils.datasets.files import FileDataset, Row, Table, read_table
from utils.errors import Problem, UserError, shortened
from utils.images.dicom import is_dicom, read_dicom, read_dicom_mask
from utils.images.reading import read_image, read_mask
from utils.images.windowing import Window

COLUMNS = ("case", "image", "mask", "label", "group", "split", "source", "spacing")
_SPLITS = ("train", "validation", "test")
_UNLABELLED = "lesion"
_NUMBERS = re.compile(r"[0-9.eE+-]+")


@DATASETS.register("manifest")
class Manifest(FileDataset):
    """``manifest.csv`` with the column ``image`` and any of ``mask, label, group, split, source, spacing, case``.

    image, mask: paths relative to the folder of the manifest, with ``/``; several masks are separated by ``;``.
    label: the diagnosis. group: the patient. split: train, validation or test. source: the hospital, or the device.
    spacing: millimetres of a pixel, ``0.2``, or of its height and width, ``0.2 0.25``. case: the id, which else is the
    path of the image without suffix. An empty cell is not known, an empty mask of a label without lesions is no lesion.

    root: the folder of the manifest, or the manifest itself, which ends in ``.csv``. file: its name in that folder.
    classes: the labels in the order of the network's outputs; those of the table, sorted, where it is left out.
    lesion_classes: the labels whose cases must have a lesion; all but ``normal`` where it is left out.
    window: how the grey values of DICOM files become 8 bits.
    """

    layout = "a manifest.csv with the columns image and, as far as known, " + ", ".join(COLUMNS[2:])

    def __init__(
        self,
        root: Path | None,
        *,
        file: Annotated[str, Field(min_length=1)] = "manifest.csv",
        classes: Annotated[tuple[str, ...] | None, Field(strict=False)] = None,
        lesion_classes: Annotated[tuple[str, ...] | None, Field(strict=False)] = None,
        window: Window = "percentiles",
    ) -> None:
        root = None if root is None else Path(root)
        if root is not None and root.suffix.lower() == ".csv":
            root, file = root.parent, root.name
        super().__init__(root)
        self.file = file
        self.window = window
        self._classes, self._lesion_classes = classes, lesion_classes

    @cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """The labels in the order of the network's outputs. Raises UserError as `cases` does."""
        if self._classes is not None:
            return tuple(self._classes)
        return tuple(sorted({row["label"] for row in self._table if row["label"]})) or (_UNLABELLED,)

    @property
    def lesion_classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """The labels whose cases must have a non-empty mask. Raises UserError as `cases` does."""
        if self._lesion_classes is not None:
            return tuple(self._lesion_classes)
        return tuple(label for label in self.classes if label != "normal")

    def cases(self) -> list[Case]:
        """All cases, sorted by id. Raises UserError with everything that is wrong with the manifest."""
        cases, problems = [], list(self._wrong_classes())
        for row in self._table:
            try:
                cases.append(self._case(row))
            except UserError as error:
                problems += error.problems
        counts = Counter(case.id for case in cases)
        for id, count in counts.items():
            if count > 1:
                problems.append(Problem("dataset.root", f"{count} rows are the case {id!r}", str(self._table.path)))
        if problems:
            raise UserError(shortened(problems))
        return sorted(cases, key=lambda case: case.id)

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width) for grey or (height, width, 3) for RGB. Raises OSError if unreadable."""
        path = self._image(case)
        return read_dicom(path, self.window) if is_dicom(path) else read_image(path)

    def _read_mask_file(self, path: Path, case: Case) -> np.ndarray:
        return read_dicom_mask(path) if is_dicom(path) else read_mask(path)

    @cached_property
    def _table(self) -> Table:
        root = self._readable_root()
        path = root / self.file
        if not path.exists():
            raise self._refused(root, f"no {self.file} in it")
        table = read_table(path, ["image"])
        if not table.rows:
            raise self._refused(root, f"{self.file} has no row")
        return table

    def _case(self, row: Row) -> Case:
        image = self._path(row, row["image"], "image")
        masks = tuple(self._path(row, cell.strip(), "mask") for cell in row["mask"].split(";") if cell.strip())
        label = row["label"] or (_UNLABELLED if "label" not in self._table.columns else "")
        if label not in self.classes:
            raise UserError(row.problem("no such label", label, self.classes))
        split = row["split"]
        if split and split not in _SPLITS:
            raise UserError(row.problem("no such part", split, _SPLITS))
        return Case(
            id=row["case"] or str(PurePosixPath(row["image"]).with_suffix("")),
            label=label,
            image=image,
            masks=masks,
            group=row["group"] or None,
            attributes={name: row[name] for name in (SOURCE, SPLIT) if row[name]},
            unmarked=not masks and label not in self.lesion_classes,
            spacing=_spacing(row),
        )

    def _path(self, row: Row, cell: str, column: str) -> Path:
        """A file in the manifest's folder. Raises UserError for one that is not, or that nobody names."""
        assert self.root is not None
        relative = PurePosixPath(cell)
        if not cell or not relative.name:
            raise UserError(row.problem(f"the column {column} names no file"))
        if relative.is_absolute() or ".." in relative.parts or "\0" in cell:
            message = f"the column {column} must be a path in the manifest's folder, relative to it"
            raise UserError(row.problem(message, cell))
        return self.root / relative

    def _wrong_classes(self) -> Iterable[Problem]:
        for label in self._lesion_classes or ():
            if label not in self.classes:
                yield Problem("dataset.options.lesion_classes", "no such label", value=label, choices=self.classes)


def _spacing(row: Row) -> tuple[float, float] | None:
    """(height, width) of a pixel in mm; None for an empty cell. Raises UserError for anything but one or two sizes."""
    if not row["spacing"]:
        return None
    try:
        sizes = [float(number) for number in _NUMBERS.findall(row["spacing"])]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2) or not all(size > 0 and math.isfinite(size) for size in sizes):
        message = "must be the millimetres of a pixel, one number or height and width"
        raise UserError(row.problem(message, row["spacing"]))
    return sizes[0], sizes[-1]
