"""Miniatures of the datasets of mammograms."""

from __future__ import annotations

import plistlib
from pathlib import Path

import cv2
import numpy as np

from utils.datasets.mammography.inbreast import CONTOURS, IMAGES, TABLE
from utils.datasets.mammography.mias import INFO, disc
from utils.datasets.miniatures.files import picture, write_dicom, write_image, write_lines
from utils.datasets.miniatures.registry import MINIATURES
from utils.files import write_atomically
from utils.identity import digest

_LABELS = ("benign", "malignant", "normal")
_UID = "1.3.6.1.4.1.9590.100.1.2"


@MINIATURES.register("mias")
def mias(folder: Path, patients: int, seed: int) -> None:
    """Two films of each patient; the last one with a lesion has calcifications that no circle can hold."""
    lines = ["REFNUM BG CLASS SEVERITY X Y RADIUS"]
    spread = max(film for film in range(2 * patients) if _LABELS[film // 2 % 3] != "normal")
    for film in range(2 * patients):
        name, label = f"mdb{film + 1:03}", _LABELS[film // 2 % 3]
        image, _ = picture("normal", seed, "mias", film)
        height, width = image.shape
        x, y, radius = width // 2 + film % 5, height // 3, 9 + film % 4
        if label == "normal":
            lines.append(f"{name} D NORM")
        elif film == spread:
            lines.append(f"{name} F CALC {label[0].upper()} *NOTE 3*")
        else:
            image[disc((height, width), height - 1 - y, x, radius) > 0] //= 2
            lines.append(f"{name} G CIRC {label[0].upper()} {x} {y} {radius}")
        write_image(folder / f"{name}.pgm", image)
    write_lines(folder / INFO, *lines)


@MINIATURES.register("cbis_ddsm")
def cbis_ddsm(folder: Path, patients: int, seed: int) -> None:
    """Two views of each patient, as the NBIA Data Retriever lays them out; every third has two abnormalities.

    Of every other abnormality the table names the crop as mask, and the mask as crop, as the real one does here and
    there. Patients take turns between the tables of masses and of calcifications, and of training and test.
    """
    tables: dict[str, list[str]] = {}
    for patient in range(patients):
        kind, part = ("Mass", "Calc")[patient % 2], ("Training", "Test")[patient // 2 % 2]
        table = f"{kind.lower()}_case_description_{'train' if part == 'Training' else 'test'}_set"
        lines = tables.setdefault(table, [])
        for view in ("CC", "MLO"):
            name = f"{kind}-{part}_P_{patient:05}_LEFT_{view}"
            image, mask = picture(_LABELS[patient % 2], seed, "cbis", patient, view)
            whole = _series(folder, name, "full mammogram images", image.astype(np.uint16) * 257)
            halves = [mask.copy(), mask.copy()] if patient % 3 == 0 else [mask]
            if len(halves) == 2:
                middle = int(np.nonzero(mask)[1].mean())
                halves[0][:, middle:], halves[1][:, :middle] = 0, 0
            for number, drawn in enumerate(halves, start=1):
                cropped = image[: image.shape[0] // 2, : image.shape[1] // 2]
                files = _series(folder, f"{name}_{number}", "ROI mask images", cropped, 255 * drawn)
                named = files if (patient + number) % 2 else files[::-1]
                pathology = ("BENIGN", "MALIGNANT", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")[patient % 4]
                cells = [f"P_{patient:05}", "2", "LEFT", view, str(number), kind.lower(), "OVAL", "ILL_DEFINED", "4"]
                # The last cell of the real tables ends in a newline.
                lines.append(",".join([*cells, pathology, "4", whole[0], named[0], f'"{named[1]}\n"']))
    head = "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type"
    tail = "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
    for table, lines in tables.items():
        what = "mass shape,mass margins" if table.startswith("mass") else "calc type,calc distribution"
        write_lines(folder / f"{table}.csv", f"{head},{what},{tail}", *lines)


def _series(folder: Path, name: str, what: str, *images: np.ndarray) -> list[str]:
    """Writes the files of a series; answers the paths by which the tables call them."""
    study, series = (f"{_UID}.{int(digest([name, level], 12), 16)}" for level in ("study", "series"))
    place = folder / "CBIS-DDSM" / name / f"07-20-2016-DDSM-NA-{study[-5:]}" / f"1.000000-{what}-{series[-5:]}"
    for number, pixels in enumerate(images, start=1):
        write_dicom(place / f"1-{number}.dcm", pixels, SeriesDescription=what)
    return [f"{name}/{study}/{series}/{number:06}.dcm" for number in range(len(images))]


@MINIATURES.register("inbreast")
def inbreast(folder: Path, patients: int, seed: int) -> None:
    """Two views of each patient: masses of every BI-RADS category, and calcifications of one pixel beside them."""
    place = folder / "INbreast Release 1.0"
    lines = ["Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"]
    for patient in range(patients):
        grade = ("1", "2", "4a", "1", "3", "5", "1", "2", "6")[patient % 9]
        label = {"1": "normal", "2": "benign", "3": "benign"}.get(grade, "malignant")
        for number, view in enumerate(("CC", "ML")):
            name = f"{20_586_908 + 52 * patient + number}"
            image, mask = picture(label, seed, "inbreast", patient, view)
            file = f"{name}_{digest(['patient', patient], 16)}_MG_R_{view}_ANON.dcm"
            elements = {"BitsStored": 12, "HighBit": 11, "ImagerPixelSpacing": [0.07, 0.07]}
            write_dicom(place / IMAGES / file, image.astype(np.uint16) * 16, **elements)
            lines.append(f"removed;removed;R;{view};201001;{name};{patient % 4 + 1}    ;{grade}")
            if label != "normal":
                _write_contours(place / CONTOURS / f"{name}.xml", mask)
    write_lines(place / TABLE, *lines)


def _write_contours(path: Path, mask: np.ndarray) -> None:
    """The outlines of a mask, and a calcification of one point inside the first, as OsiriX writes them."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = [("Mass", outline[:, 0]) for outline in outlines] + [("Calcification", outlines[0][:1, 0])]
    rois = [
        {
            "Name": name,
            "NumberOfPoints": len(points),
            "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points],
            "Type": 15,
        }
        for name, points in drawn
    ]
    told = {"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]}
    write_atomically(path, lambda file: plistlib.dump(told, file))
