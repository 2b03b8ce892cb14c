"""INbreast, a database of full-field digital mammograms with drawn contours.

I. C. Moreira et al.: INbreast: toward a full-field digital mammographic database. Academic Radiology 19 (2012) 236-248,
doi 10.1016/j.acra.2011.09.014. 410 images of 115 patients. Licence: for research, on request to its authors
(medicalresearch.inescporto.pt/breastresearch), who ask to be cited.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated
from xml.parsers.expat import ExpatError

import cv2
import numpy as np
from pydantic import Field

from utils.datasets.case import DATASETS, Case
from utils.datasets.files import FileDataset, Row, read_table
from utils.datasets.files.dataset import entries
from utils.errors import Problem, UserError, shortened
from utils.images.dicom import SUFFIXES, read_dicom, read_header
from utils.images.windowing import Window

TABLE, IMAGES, CONTOURS = "INbreast.csv", "AllDICOMs", "AllXML"
_FILE, _BIRADS = "File Name", "Bi-Rads"
_GRADE = re.compile(r"([0-6])[abc]?", re.IGNORECASE)
_POINT = re.compile(r"\(\s*(-?[0-9.]+(?:e[+-]?[0-9]+)?)\s*,\s*(-?[0-9.]+(?:e[+-]?[0-9]+)?)\s*\)", re.IGNORECASE)
_MOST_BYTES = 64 * 1024 * 1024
_MOST_POINTS = 1_000_000


@dataclass(frozen=True)
class Contour:
    """What is drawn around a finding. name: as in the file, ``Mass``. points: (N, 2) of x and y in pixels, N > 0."""

    name: str
    points: np.ndarray


@DATASETS.register("inbreast")
class Inbreast(FileDataset):
    """``AllDICOMs/<image>_<patient>_MG_R_CC_ANON.dcm``, contours in ``AllXML/<image>.xml``, BI-RADS in INbreast.csv.

    BI-RADS 1 is normal, 2 and 3 are benign, 4 to 6 malignant; 0, an examination that was not finished, is no case. The
    group is the patient in the name of the file: the column of the table has been emptied. Images without findings
    have no XML. Contours are filled, their outline included; one of a single point is a pixel.

    root: the folder of these, or the one above it (the archive unpacks to ``INbreast Release 1.0``).
    findings: names of what is to be segmented, such as [Mass]; everything that is drawn where it is left out. Images
    with other findings alone are then no cases: their diagnosis is of something that the mask would not show.
    window: how the grey values, of up to 14 bits, become 8.
    """

    classes: tuple[str, ...] = ("normal", "benign", "malignant")
    lesion_classes: tuple[str, ...] = ("benign", "malignant")
    layout = f"{TABLE}, {IMAGES}/<image>_<patient>_MG_R_CC_ANON.dcm, {CONTOURS}/<image>.xml"
    source = "its authors, medicalresearch.inescporto.pt/breastresearch"

    def __init__(
        self,
        root: Path | None,
        *,
        findings: Annotated[tuple[str, ...], Field(strict=False)] = (),
        window: Window = "percentiles",
    ) -> None:
        super().__init__(root)
        self.findings = frozenset(name.lower() for name in findings)
        self.window = window

    def cases(self) -> list[Case]:
        """All images, sorted by id, the number of the image; `Case.spacing` is that of the detector.

        Raises UserError when the root is missing or has another layout, and with everything wrong with the table.
        """
        cases, problems = [], []
        for row in read_table(self._place / TABLE, [_FILE, _BIRADS], delimiter=";"):
            grade = _GRADE.fullmatch(row[_BIRADS])
            if grade is None:
                problems.append(row.problem("must be a BI-RADS category, such as 4a", row[_BIRADS]))
            elif not row[_FILE].isdecimal():
                problems.append(row.problem(f"the column {_FILE!r} must be the number of an image", row[_FILE]))
            elif grade[1] != "0":
                cases.append(self._case(row, int(grade[1])))
        if problems:
            raise UserError(shortened(problems))
        if not self._images:
            raise self._refused(self._place, f"{IMAGES}/ holds no DICOM file")
        return sorted(self._with_findings(cases), key=lambda case: case.id)

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width). Raises OSError if unreadable."""
        return read_dicom(self._image(case), self.window)

    def _read_mask_file(self, path: Path, case: Case) -> np.ndarray:
        mask = np.zeros(read_header(self._image(case)).size, np.uint8)
        for contour in read_contours(path):
            if not self.findings or contour.name.lower() in self.findings:
                fill(mask, contour.points, path)
        return mask

    def _case(self, row: Row, grade: int) -> Case:
        image = self._images.get(row[_FILE], self._place / IMAGES / f"{row[_FILE]}.dcm")
        contours = self._place / CONTOURS / f"{row[_FILE]}.xml"
        told = {"view": row["View"], "side": row["Laterality"], "density": row["ACR"], "birads": row[_BIRADS]}
        label = "normal" if grade == 1 else "benign" if grade <= 3 else "malignant"
        return Case(
            id=row[_FILE],
            label=label,
            image=image,
            masks=(contours,) if contours.exists() or contours.is_symlink() else (),
            group=_patient(image),
            attributes={name: text for name, text in told.items() if text},
            unmarked=label not in self.lesion_classes,
            spacing=self._spacing(image),
        )

    def _with_findings(self, cases: list[Case]) -> list[Case]:
        """The cases without those that show other findings alone. Raises UserError if nobody has drawn such a thing."""
        if not self.findings:
            return cases
        drawn = {case.id: self._drawn(case) for case in cases}
        names = sorted({name for found in drawn.values() for name in found or ()})
        if self.findings.isdisjoint(names):
            message = "nothing of this name is drawn in any image"
            raise UserError(Problem("dataset.options.findings", message, "", sorted(self.findings), "", tuple(names)))
        return [case for case in cases if drawn[case.id] is None or self.findings & (drawn[case.id] or set())]

    def _drawn(self, case: Case) -> set[str] | None:
        """What is drawn in an image, in lower case; None if that is of no account, as the audit will tell it."""
        if case.label not in self.lesion_classes or not case.masks:
            return None
        try:
            return {contour.name.lower() for contour in read_contours(self._inside(case.masks[0]))}
        except OSError:
            return None

    @cached_property
    def _place(self) -> Path:
        return self._folder([TABLE, IMAGES, CONTOURS])

    @cached_property
    def _images(self) -> Mapping[str, Path]:
        """Number of an image -> its file. Raises UserError for two files of one number."""
        found: dict[str, Path] = {}
        for path in entries(self._place / IMAGES):
            if path.suffix.lower() not in SUFFIXES:
                continue
            number = path.stem.partition("_")[0]
            if number in found:
                message = f"the same image as {found[number].name}; remove one of them"
                raise UserError(Problem("dataset.root", message, value=str(path)))
            found[number] = path
        return found


def read_contours(path: Path) -> list[Contour]:
    """The contours of a property list of OsiriX. Raises OSError naming the file if it is none, or damaged."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise OSError(f"{path}: larger than {_MOST_BYTES:,} bytes; refused")
        with path.open("rb") as file:  # entities, which could grow without bound, are refused by plistlib
            images = plistlib.load(file, fmt=plistlib.FMT_XML)["Images"]
        drawn = [(str(roi.get("Name", "")).strip(), roi["Point_px"]) for image in images for roi in image["ROIs"]]
        contours = [Contour(name, _points(texts)) for name, texts in drawn if texts]
    except (plistlib.InvalidFileException, ExpatError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise OSError(f"{path}: no contours as OsiriX writes them: {error}") from error
    return contours


def fill(mask: np.ndarray, points: np.ndarray, path: Path) -> None:
    """Sets the pixels within a contour, and on it, to 1. Raises OSError for one that leaves the image altogether."""
    height, width = mask.shape
    if (points.max(axis=0) <= -1).any() or (points.min(axis=0) >= (width, height)).any():
        raise OSError(f"{path}: a contour lies outside of the image's {width} x {height} pixels")
    # OpenCV counts in fixed point and goes along every row of an outline: no number may be arbitrarily large.
    inside = np.clip(points, -width - height, 2 * (width + height))
    cv2.fillPoly(mask, [np.rint(inside).astype(np.int32)], 1)


def _points(texts: Iterable[str]) -> np.ndarray:
    matches = [_POINT.fullmatch(text.strip()) for text in texts]
    if len(matches) > _MOST_POINTS or None in matches:
        raise ValueError("points must be like (1234.5, 678.9)")
    points = np.array([[float(match[1]), float(match[2])] for match in matches if match], np.float64)
    if not np.isfinite(points).all():
        raise ValueError("points must be finite")
    return points


def _patient(image: Path) -> str | None:
    """``20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm`` is of the patient 6c613a14b80a8591."""
    words = image.stem.split("_")
    return words[1] if len(words) > 2 else None
