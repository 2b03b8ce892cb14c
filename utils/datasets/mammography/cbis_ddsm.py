"""CBIS-DDSM, the curated breast imaging subset of the Digital Database for Screening Mammography.

R. S. Lee et al.: A curated mammography data set for use in computer-aided detection and diagnosis research. Scientific
Data 4 (2017) 170177, doi 10.1038/sdata.2017.177. Images: The Cancer Imaging Archive, doi 10.7937/K9/TCIA.2016.7O02S9CY,
with its NBIA Data Retriever; licence CC BY 3.0. 1,566 patients.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from utils.datasets.case import DATASETS, SPLIT, Case
from utils.datasets.files import FileDataset, Row, read_table
from utils.datasets.files.dataset import IMAGE_SUFFIXES, entries
from utils.errors import Problem, UserError, shortened
from utils.images.dicom import SUFFIXES, is_dicom, read_dicom, read_dicom_mask, read_header
from utils.images.reading import read_image, read_mask, read_stored, size_of
from utils.images.windowing import Window, full_window, percentile_window, windowed

_TABLE = re.compile(r"(?P<kind>mass|calc)_case_description_(?P<split>train|test)_set\.csv")
_PATIENT, _SIDE, _VIEW, _PATHOLOGY = "patient_id", "left or right breast", "image view", "pathology"
_IMAGE, _CROP, _MASK = "image file path", "cropped image file path", "ROI mask file path"
_COLUMNS = (_PATIENT, _SIDE, _VIEW, _PATHOLOGY, _IMAGE, _CROP, _MASK)
_LABELS = {"BENIGN": "benign", "BENIGN_WITHOUT_CALLBACK": "benign", "MALIGNANT": "malignant"}
_LOSSY = (".jpg", ".jpeg")


@DATASETS.register("cbis_ddsm")
class CbisDdsm(FileDataset):
    """``mass_case_description_train_set.csv`` and its like, whose rows name image, crop and mask of an abnormality.

    A case is a view of a breast: the masks of its abnormalities are merged, and it is malignant if one of them is. The
    group is the patient. Files are looked for at the path in the table, also as PNG; in the folders that the NBIA Data
    Retriever makes (``<series>/<date>/1.000000-ROI mask images-<end of the UID>/1-2.dcm``); and in those of the JPEGs
    on Kaggle (``jpeg/<UID>/``). The tables confuse crops and masks here and there: of the two files of a series, the
    mask is the one that is as large as its image. A few masks have another size than their image; the audit names them.

    root: the folder of the tables, or one with ``csv/``; the images are in it or in ``CBIS-DDSM/``. A table that is
    taken away takes its cases along.
    findings: which tables.
    window: how 16 bits become 8.
    """

    classes: tuple[str, ...] = ("benign", "malignant")
    lesion_classes: tuple[str, ...] = classes
    layout = "mass_case_description_train_set.csv, ..._test_set.csv, calc_..., and the folders that they name"
    source = "https://www.cancerimagingarchive.net/collection/cbis-ddsm"

    def __init__(
        self,
        root: Path | None,
        *,
        findings: Literal["all", "masses", "calcifications"] = "all",
        window: Window = "percentiles",
    ) -> None:
        super().__init__(root)
        self.findings, self.window = findings, window

    def cases(self) -> list[Case]:
        """All views, sorted by id (``P_00001_LEFT_CC``).

        Raises UserError when the root is missing or has another layout, and with everything wrong with the tables.
        """
        views: defaultdict[str, list[tuple[Row, str]]] = defaultdict(list)
        problems: list[Problem] = []
        for path, split in self._tables():
            for row in read_table(path, _COLUMNS):
                wrong = list(_wrong(row))
                problems += wrong
                if not wrong:
                    views[f"{row[_PATIENT]}_{row[_SIDE]}_{row[_VIEW]}"].append((row, split))
        if problems:
            raise UserError(shortened(problems))
        found = [self._case(id, rows) for id, rows in sorted(views.items())]
        if not any(case.image is not None and case.image.exists() for case in found):
            example = f", such as {views[found[0].id][0][0][_IMAGE]}" if found else ""
            raise self._refused(self.root, f"not one of the images that the tables name is there{example}")
        return found

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width). Raises OSError if unreadable."""
        path = self._image(case)
        if is_dicom(path):
            return read_dicom(path, self.window)
        stored = read_stored(path)
        if stored.dtype == np.uint8:
            return read_image(path)
        return windowed(stored, *(full_window(16) if self.window != "percentiles" else percentile_window(stored)))

    def _read_mask_file(self, path: Path, case: Case) -> np.ndarray:
        if is_dicom(path):
            return read_dicom_mask(path)
        # The black of a JPEG is not quite black.
        return (read_image(path) > 127).astype(np.uint8) if path.suffix.lower() in _LOSSY else read_mask(path)

    def _tables(self) -> list[tuple[Path, str]]:
        """The tables that are wanted and there, with the part that each is of."""
        root = self._readable_root()
        kinds = {"all": ("mass", "calc"), "masses": ("mass",), "calcifications": ("calc",)}[self.findings]
        for folder in (root, root / "csv"):
            found = [(path, _TABLE.fullmatch(path.name)) for path in entries(folder)] if folder.is_dir() else []
            tables = [(path, match["split"]) for path, match in found if match and match["kind"] in kinds]
            if tables:
                return tables
        raise self._refused(root, f"not laid out like CBIS-DDSM: no {kinds[0]}_case_description_train_set.csv")

    def _case(self, id: str, rows: Sequence[tuple[Row, str]]) -> Case:
        images = [self._candidates(row[_IMAGE]) for row, _ in rows]
        image = next((files[0] for files in images if files), self._place(rows[0][0][_IMAGE]))
        masks = [self._mask(row, image) for row, _ in rows]
        labels = {_LABELS[row[_PATHOLOGY].upper()] for row, _ in rows}
        splits = {split for _, split in rows}
        return Case(
            id=id,
            label="malignant" if "malignant" in labels else "benign",
            image=image,
            masks=tuple(dict.fromkeys(masks)),
            group=rows[0][0][_PATIENT],
            # A patient with a mass and calcifications may be in the training table of one and the test table of other.
            attributes={SPLIT: splits.pop()} if len(splits) == 1 else {},
            spacing=self._spacing(image),
        )

    def _mask(self, row: Row, image: Path) -> Path:
        """The mask of an abnormality: of the files that may be it, the one with the size of the image."""
        candidates = list(dict.fromkeys((*self._candidates(row[_MASK]), *self._candidates(row[_CROP]))))
        if not candidates:
            return self._place(row[_MASK])
        if len(candidates) == 1:
            return candidates[0]
        wanted = self._size(image)
        return next((path for path in candidates if wanted and self._size(path) == wanted), candidates[0])

    def _size(self, path: Path) -> tuple[int, int] | None:
        try:
            return read_header(self._inside(path)).size if is_dicom(path) else size_of(self._inside(path))
        except OSError:  # damaged: said when the case is opened
            return None

    def _place(self, cell: str) -> Path:
        """Where the table says that a file is."""
        assert self.root is not None
        return self.root / PurePosixPath(cell)

    def _candidates(self, cell: str) -> list[Path]:
        """The files that a path of the table may stand for, likely ones first."""
        assert self.root is not None
        named = PurePosixPath(cell)
        for base in (self.root, self.root / "CBIS-DDSM"):
            exact = [base / named, *((base / named).with_suffix(suffix) for suffix in (".png", *_LOSSY))]
            if there := [path for path in exact if path.exists() or path.is_symlink()]:
                return there[:1]
            for folder in _series_folders(base / named.parts[0], named.parent.name):
                return _image_files(folder)
        kaggle = self.root / "jpeg" / named.parent.name
        return _image_files(kaggle) if kaggle.is_dir() else []


def _series_folders(folder: Path, uid: str) -> Iterable[Path]:
    """The folders of a series, two levels down, named after its UID or, by the NBIA Data Retriever, after its end."""
    if folder.is_dir():
        for study in entries(folder):
            for series in entries(study) if study.is_dir() else ():
                if series.is_dir() and (series.name == uid or series.name.endswith(f"-{uid[-5:]}")):
                    yield series


def _image_files(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.suffix.lower() in (*SUFFIXES, *IMAGE_SUFFIXES)]


def _wrong(row: Row) -> Iterable[Problem]:
    """What is wrong with a row."""
    if row[_PATHOLOGY].upper() not in _LABELS:
        yield row.problem("no such pathology", row[_PATHOLOGY], tuple(_LABELS))
    for column in (_PATIENT, _SIDE, _VIEW):
        if not row[column]:
            yield row.problem(f"the column {column!r} is empty")
    for column in (_IMAGE, _MASK, _CROP):
        parts = PurePosixPath(row[column]).parts
        if len(parts) < 2 or ".." in parts or parts[0] == "/" or "\0" in row[column]:
            yield row.problem(f"the column {column!r} must be a path below the folder of the images", row[column])
