"""The dataset of breast ultrasound images (BUSI), and any other data laid out in the same way.

W. Al-Dhabyani, M. Gomaa, H. Khaled, A. Fahmy: Dataset of breast ultrasound images. Data in Brief 28 (2020)
104863, doi 10.1016/j.dib.2019.104863. 780 images; it does not say which patient an image is of.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from utils.datasets.case import DATASETS, Case
from utils.errors import Problem, UserError
from utils.identity import digest, file_digest
from utils.images.reading import merge_masks, read_image, read_mask

_MASK = re.compile(r"(?P<image>.+)_mask(?:_\d+)?", re.IGNORECASE)


@DATASETS.register("busi")
class Busi:
    """One folder per class; in it ``<name>.png`` with ``<name>_mask.png``, ``<name>_mask_1.png``, ...

    root: the folder of the class folders, or the one above it (the archive unpacks to Dataset_BUSI_with_GT/).
    Files that are not PNG (Thumbs.db) and hidden ones are no part of the dataset; links that lead out of it are
    not followed.
    """

    classes: tuple[str, ...] = ("benign", "malignant", "normal")
    lesion_classes: tuple[str, ...] = ("benign", "malignant")
    kaggle_handle = "aryashah2k/breast-ultrasound-images-dataset"

    def __init__(self, root: Path | None) -> None:
        self.root = None if root is None else Path(root)

    def cases(self) -> list[Case]:
        """All cases, sorted by id; one without a mask file has `masks` empty.

        Raises UserError when the root is missing or not laid out like BUSI.
        """
        folder = self._folder()
        cases = []
        for label in self.classes:
            images, masks = _pngs(folder / label)
            for name, image in images.items():
                cases.append(Case(f"{label}/{name}", label, image, tuple(masks.get(name, ()))))
        if not cases:
            raise UserError(self._problem(folder, "the class folders hold no PNG image"))
        return sorted(cases, key=lambda case: case.id)

    def orphan_masks(self) -> list[Path]:
        """Mask files whose image is not there, sorted. Raises UserError as `cases` does."""
        folder = self._folder()
        orphans: list[Path] = []
        for label in self.classes:
            images, masks = _pngs(folder / label)
            orphans += [path for name, paths in masks.items() if name not in images for path in paths]
        return sorted(orphans)

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width) for grey or (height, width, 3) for RGB. Raises OSError if unreadable."""
        if case.image is None:
            raise FileNotFoundError(f"case {case.id} has no image file")
        return read_image(self._inside(case.image))

    def read_mask(self, case: Case) -> np.ndarray:
        """uint8 of 0 and 1, (height, width): the OR of the case's mask files.

        Raises OSError if one is unreadable or none is there, ValueError naming the case if their sizes differ.
        """
        if not case.masks:
            raise FileNotFoundError(f"{_expected_mask(case)}: missing; case {case.id} has no mask")
        try:
            return merge_masks([read_mask(self._inside(path)) for path in case.masks])
        except ValueError as error:
            raise ValueError(f"case {case.id}: {error}") from error

    def content(self, case: Case) -> str:
        """A hash of the bytes of the case's files, its label and its group. Raises OSError if one cannot be read."""
        image = None if case.image is None else file_digest(case.image)
        return digest([image, [file_digest(mask) for mask in case.masks], case.label, case.group], length=64)

    def _folder(self) -> Path:
        """The folder that holds the class folders: the root, or a folder in it."""
        if self.root is None:
            raise UserError(self._problem(None, "the dataset needs a folder"))
        try:
            inside = sorted(path for path in self.root.iterdir() if path.is_dir())
        except FileNotFoundError:
            raise UserError(self._problem(self.root, "no such folder")) from None
        except NotADirectoryError:
            raise UserError(self._problem(self.root, "not a folder")) from None
        except (OSError, ValueError) as error:  # no permission, too long a name; a NUL in it
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UserError(self._problem(self.root, f"cannot be read: {reason}")) from None
        for folder in (self.root, *inside):
            if all((folder / label).is_dir() for label in self.classes):
                self._refuse_links(folder)
                return folder
        missing = [f"{label}/" for label in self.classes if not (self.root / label).is_dir()]
        raise UserError(self._problem(self.root, f"not laid out like BUSI: no {', '.join(missing)}"))

    def _refuse_links(self, folder: Path) -> None:
        real = folder.resolve()
        for label in self.classes:
            if not (folder / label).resolve().is_relative_to(real):
                fault = f"{label}/ leads to {(folder / label).resolve()}, outside of it; put the folder itself there"
                raise UserError(self._problem(folder, fault))

    def _inside(self, path: Path) -> Path:
        """The path of a file of the dataset. Raises OSError where a link leads it out of the dataset's folder."""
        if self.root is None or not path.exists():
            return path
        real, root = path.resolve(), self.root.resolve()
        # The folder of the class folders may be a link itself, as the root may.
        if real.is_relative_to(root) or real.is_relative_to(path.parents[1].resolve()):
            return path
        raise OSError(f"{path}: leads to {real}, outside of dataset.root; put the file itself there")

    def _problem(self, folder: Path | None, fault: str) -> Problem:
        folders = ", ".join(f"{label}/" for label in self.classes)
        expected = f"{folders} with <name>.png, <name>_mask.png, <name>_mask_1.png"
        url = f"https://www.kaggle.com/datasets/{self.kaggle_handle}"
        download = f"`--download` fetches the data from {url}, and " if self.kaggle_handle else ""
        return Problem(
            where="dataset.root",
            message=f"{fault}. Expected: {expected}, ...; {download}`--demo` runs on made images without it",
            value=None if folder is None else str(folder),
        )


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


def _expected_mask(case: Case) -> Path:
    image = case.image or Path(f"{case.id}.png")
    return image.with_name(f"{image.stem}_mask.png")
