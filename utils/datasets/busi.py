"""The dataset of breast ultrasound images (BUSI), and any other data laid out in the same way.

W. Al-Dhabyani, M. Gomaa, H. Khaled, A. Fahmy: Dataset of breast ultrasound images. Data in Brief 28 (2020)
104863, doi 10.1016/j.dib.2019.104863. 780 images; it does not say which patient an image is of. Licence: CC BY 4.0 of
the article, CC0 on Kaggle.

Its known faults, and what becomes of them: one image under two labels, benign (433) and malignant (145), is an error of
the audit; about 116 sets of near-copies are found and stay on one side of every fold; the two or three masks of 17
images are merged; masks of 3 and 4 channels are read as what they show. Text and calipers that are burnt in stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from utils.datasets.case import DATASETS, Case
from utils.datasets.files import FileDataset
from utils.datasets.files.curation import left_out
from utils.errors import Problem, UserError

_MASK = re.compile(r"(?P<image>.+)_mask(?:_\d+)?", re.IGNORECASE)


@DATASETS.register("busi")
class Busi(FileDataset):
    """One folder per class; in it ``<name>.png`` with ``<name>_mask.png``, ``<name>_mask_1.png``, ...

    root: the folder of the class folders, or the one above it (the archive unpacks to Dataset_BUSI_with_GT/).
    curation: a CSV with a column ``case``, of cases to leave out; ``python -m utils.splits.curation`` writes one.
    Files that are not PNG (Thumbs.db) and hidden ones are no part of the dataset; links that lead out of it are
    not followed.
    """

    classes: tuple[str, ...] = ("benign", "malignant", "normal")
    lesion_classes: tuple[str, ...] = ("benign", "malignant")
    kaggle_handle = "aryashah2k/breast-ultrasound-images-dataset"

    def __init__(self, root: Path | None, *, curation: Path | None = None) -> None:
        super().__init__(root)
        self.curation = curation
        folders = ", ".join(f"{label}/" for label in self.classes)
        self.layout = f"{folders} with <name>.png, <name>_mask.png, <name>_mask_1.png, ..."

    def cases(self) -> list[Case]:
        """All cases, sorted by id; one without a mask file has `masks` empty.

        Raises UserError when the root is missing or not laid out like BUSI, or the curation list is none of it.
        """
        folder = self._class_folders()
        cases = []
        for label in self.classes:
            images, masks = _pngs(folder / label)
            for name, image in images.items():
                cases.append(Case(f"{label}/{name}", label, image, tuple(masks.get(name, ()))))
        if not cases:
            raise self._refused(folder, "the class folders hold no PNG image")
        leave = left_out(self.curation, {case.id for case in cases})
        return sorted((case for case in cases if case.id not in leave), key=lambda case: case.id)

    def orphan_masks(self) -> list[Path]:
        """Mask files whose image is not there, sorted. Raises UserError as `cases` does."""
        folder = self._class_folders()
        orphans: list[Path] = []
        for label in self.classes:
            images, masks = _pngs(folder / label)
            orphans += [path for name, paths in masks.items() if name not in images for path in paths]
        return sorted(orphans)

    def _class_folders(self) -> Path:
        """The folder that holds the class folders: the root, or a folder in it."""
        root = self._readable_root()
        for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
            if all((folder / label).is_dir() for label in self.classes):
                self._refuse_links(folder)
                return folder
        missing = [f"{label}/" for label in self.classes if not (root / label).is_dir()]
        raise self._refused(root, f"not laid out like BUSI: no {', '.join(missing)}")

    def _refuse_links(self, folder: Path) -> None:
        real = folder.resolve()
        for label in self.classes:
            if not (folder / label).resolve().is_relative_to(real):
                fault = f"{label}/ leads to {(folder / label).resolve()}, outside of it; put the folder itself there"
                raise self._refused(folder, fault)

    def _homes(self, folder: Path) -> Iterable[Path]:
        # The folder of the class folders may be a link itself, as the root may.
        return (*super()._homes(folder), folder.parent)


def _pngs(folder: Path) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """The images of a class folder by name, and the masks by the name of their image.

    Raises UserError if two files differ in the case of ``.png`` alone: their cases would share one id.
    """
    files = [
        path
        for path in sorted(folder.iterdir())
        # A link that leads nowhere is a case that cannot be read, not one that is not there.
        if path.suffix.lower() == ".png" and not path.name.startswith(".") and not path.is_dir()
    ]
    images: dict[str, Path] = {}
    masks: dict[str, list[Path]] = {}
    for path in files:
        match = _MASK.fullmatch(path.stem)
        if match:
            masks.setdefault(match["image"], []).append(path)
        elif path.stem in images:
            message = f"the same name as {images[path.stem].name}; rename or remove one of them"
            raise UserError(Problem(where="dataset.root", message=message, value=str(path)))
        else:
            images[path.stem] = path
    return images, masks
