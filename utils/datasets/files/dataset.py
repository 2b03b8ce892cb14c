"""The base of datasets that lie in a folder.

A dataset says what it expects there in `layout`, and finds its cases; finding the folder, refusing what leads out of
it, reading files and hashing them is the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from utils.datasets.case import SOURCE, Case
from utils.errors import Problem, UserError
from utils.identity import digest, file_digest
from utils.images.dicom import spacing_of
from utils.images.reading import merge_masks, read_image, read_mask

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm")
"""The names of files that are taken for images, in lower case."""


class FileDataset:
    """Base of a `Dataset` in a folder, its root. A subclass has a `layout` and `cases`.

    Hidden files are no part of a dataset; links that lead out of its root are not followed.
    """

    classes: tuple[str, ...] = ()
    lesion_classes: tuple[str, ...] = ()
    layout = ""
    """What is expected in the root, in a phrase."""
    source = ""
    """Where a person can get the data, if not by `--download`."""
    kaggle_handle = ""

    def __init__(self, root: Path | None) -> None:
        self.root = None if root is None else Path(root)
        self._ours: dict[Path, bool] = {}

    def cases(self) -> list[Case]:
        """All cases, sorted by id. Raises UserError when the root is missing or has another layout."""
        raise NotImplementedError

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width) for grey or (height, width, 3) for RGB. Raises OSError if unreadable."""
        return read_image(self._image(case))

    def read_mask(self, case: Case) -> np.ndarray:
        """uint8 of 0 and 1, (height, width): the OR of the case's mask files, all 0 where there is nothing to draw.

        Raises OSError if one is unreadable or none is there, ValueError naming the case if their sizes differ.
        """
        if case.unmarked and not case.masks:
            return np.zeros(self.read_image(case).shape[:2], np.uint8)
        if not case.masks:
            raise FileNotFoundError(f"{self._expected_mask(case)}: missing; case {case.id} has no mask")
        try:
            return merge_masks([self._read_mask_file(self._inside(path), case) for path in case.masks])
        except ValueError as error:
            raise ValueError(f"case {case.id}: {error}") from error

    def content(self, case: Case) -> str:
        """A hash of the bytes of the case's files, its label, group, source and spacing.

        Raises OSError if a file cannot be read.
        """
        image = None if case.image is None else file_digest(case.image)
        told: list[object] = [image, [file_digest(mask) for mask in case.masks], case.label, case.group]
        # Only what the data say, so that a field that is new changes no hash of data without it.
        source = case.attributes.get(SOURCE)
        told += [] if source is None else [{"source": source}]
        told += [] if case.spacing is None else [{"spacing": list(case.spacing)}]
        return digest(told, length=64)

    def _read_mask_file(self, path: Path, case: Case) -> np.ndarray:
        """One file's mask: uint8 of 0 and 1, (height, width)."""
        return read_mask(path)

    def _spacing(self, image: Path) -> tuple[float, float] | None:
        """The millimetres of a pixel, for `Case.spacing`; None where the file does not say, or cannot be read."""
        try:
            return spacing_of(self._inside(image))
        except OSError:  # a link to elsewhere, which is refused when the image is read
            return None

    def _image(self, case: Case) -> Path:
        if case.image is None:
            raise FileNotFoundError(f"case {case.id} has no image file")
        return self._inside(case.image)

    def _expected_mask(self, case: Case) -> Path:
        """Where the mask of a case should have been."""
        image = case.image or Path(f"{case.id}.png")
        return image.with_name(f"{image.stem}_mask.png")

    def _folder(self, required: Sequence[str]) -> Path:
        """The root, or a folder in it, that holds all these entries. Raises UserError with the names of the others."""
        root = self._readable_root()
        for folder in (root, *sorted(path for path in entries(root) if path.is_dir())):
            if all((folder / name).exists() for name in required):
                return folder
        missing = [name for name in required if not (root / name).exists()]
        raise self._refused(root, f"not laid out like {self._name()}: no {', '.join(missing)}")

    def _readable_root(self) -> Path:
        if self.root is None:
            raise self._refused(None, "the dataset needs a folder")
        try:
            next(self.root.iterdir(), None)
        except FileNotFoundError:
            raise self._refused(self.root, "no such folder") from None
        except NotADirectoryError:
            raise self._refused(self.root, "not a folder") from None
        except (OSError, ValueError) as error:  # no permission, too long a name; a NUL in it
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise self._refused(self.root, f"cannot be read: {reason}") from None
        return self.root

    def _name(self) -> str:
        return type(self).__name__

    def _homes(self, folder: Path) -> Iterable[Path]:
        """The folders that the files in a folder of the dataset may lie in."""
        return () if self.root is None else (self.root,)

    def _inside(self, path: Path) -> Path:
        """The path of a file of the dataset. Raises OSError where a link leads it out of the dataset's folder."""
        if self.root is None or not path.exists():
            return path
        folder = path.parent
        if path.is_symlink():
            inside = self._is_ours(folder, path.resolve())
        else:
            if folder not in self._ours:  # asked once: every file would pay for it again, while all other threads wait
                self._ours[folder] = self._is_ours(folder, folder.resolve())
            inside = self._ours[folder]
        if inside:
            return path
        raise OSError(f"{path}: leads to {path.resolve()}, outside of dataset.root; put the file itself there")

    def _is_ours(self, folder: Path, real: Path) -> bool:
        """Whether a place is in one of the homes of the files in this folder."""
        return any(real.is_relative_to(home.resolve()) for home in self._homes(folder))

    def _refused(self, folder: Path | None, fault: str) -> UserError:
        """The error of a root that is not what it should be."""
        url = f"https://www.kaggle.com/datasets/{self.kaggle_handle}"
        get = f"it can be had from {self.source}; " if self.source else ""
        get = f"`--download` fetches the data from {url}, and " if self.kaggle_handle else get
        return UserError(
            Problem(
                where="dataset.root",
                message=f"{fault}. Expected: {self.layout}; {get}`--demo` runs on made images without it",
                value=None if folder is None else str(folder),
            )
        )


def entries(folder: Path) -> Iterator[Path]:
    """What a folder holds, sorted by name; hidden files are nobody's data."""
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


def images_in(folder: Path) -> dict[str, Path]:
    """The image files of a folder by their name without suffix, sorted; none where there is no such folder.

    Raises UserError if two files differ in their suffix alone: their cases would share one id.
    """
    found: dict[str, Path] = {}
    for path in entries(folder) if folder.is_dir() else ():
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.is_dir():
            continue
        if path.stem in found:
            message = f"the same name as {found[path.stem].name}; rename or remove one of them"
            raise UserError(Problem(where="dataset.root", message=message, value=str(path)))
        found[path.stem] = path
    return found
