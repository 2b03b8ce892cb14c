"""The true masks of images, where there are any."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from experiments.prediction.images.sources import MASK_NAME, SUFFIXES, Source
from utils.errors import Problem, UserError
from utils.images.dicom import is_dicom, read_dicom_mask
from utils.images.reading import merge_masks, read_mask

_IMAGES, _MASKS = "images", "masks"


@dataclass
class TrueMasks:
    """Finds masks by name: ``x_mask.png``, ``x_mask_1.png``, ... or ``x_segmentation.png`` of the image ``x.png``.

    folder: where they are, laid out as the images are or with every name there once; a mask may also have the name of
    its image there. None: beside the images, or in ``masks`` where the images are in ``images``. Raises UserError for
    a folder that holds no mask.
    """

    folder: Path | None = None
    _listed: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.folder is not None:
            if not self.folder.is_dir():
                raise UserError(Problem("--masks", "no such folder", value=str(self.folder)))
            folders = [self.folder, *sorted(path for path in self.folder.rglob("*") if path.is_dir())]
            if not sum(len(self._masks_in(folder)) for folder in folders):
                raise UserError(Problem("--masks", "the folder holds no mask", value=str(self.folder)))

    def of(self, source: Source) -> list[Path]:
        """The mask files of an image; none where it has no truth."""
        stem = source.path.stem
        if self.folder is None:
            beside = self._masks_in(source.path.parent).get(stem, [])
            found = [path for path in beside if path.stem != stem]
            if not found and source.path.parent.name == _IMAGES:
                found = self._masks_in(source.path.parent.with_name(_MASKS)).get(stem, [])
            return found
        mirrored = self._masks_in((self.folder / source.name).parent).get(stem, [])
        if mirrored:
            return mirrored
        everywhere = [masks[stem] for masks in list(self._listed.values()) if stem in masks]
        return everywhere[0] if len(everywhere) == 1 else []

    def _masks_in(self, folder: Path) -> dict[str, list[Path]]:
        """Name of the image -> its masks, of the files of one folder."""
        if folder not in self._listed:
            found: defaultdict[str, list[Path]] = defaultdict(list)
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                    match = MASK_NAME.fullmatch(path.stem)
                    found[match["image"] if match else path.stem].append(path)
            self._listed[folder] = dict(found)
        return self._listed[folder]


def read_truth(paths: list[Path], size: tuple[int, int]) -> np.ndarray:
    """The OR of mask files, boolean (height, width). Raises OSError for one that is unreadable or of another size."""
    try:
        mask = merge_masks([read_dicom_mask(path) if is_dicom(path) else read_mask(path) for path in paths])
    except ValueError as error:
        raise OSError(f"{paths[0]}: {error}") from error
    if mask.shape != size:
        raise OSError(f"{paths[0]}: the mask has {mask.shape} pixels (height, width), its image {size}")
    return mask.astype(bool)
