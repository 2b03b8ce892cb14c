"""Images and masks in folders of their own, one pair of folders for each part: the layout of skin-lesion sets.

Such as ISIC 2016 and 2017 (N. Codella et al., Skin lesion analysis toward melanoma detection, ISBI 2018,
doi 10.1109/ISBI.2018.8363547; challenge.isic-archive.com/data, CC0), renamed or by the option `mask`, and most that
people lay out themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from utils.datasets.case import DATASETS, SPLIT, Case
from utils.datasets.files import FileDataset
from utils.datasets.files.dataset import entries, images_in
from utils.datasets.files.naming import NamePattern, mask_name
from utils.errors import Problem, UserError, nearest

IMAGES, MASKS = "images", "masks"


@DATASETS.register("folders")
class Folders(FileDataset):
    """``train/images/sample_001.jpg`` with ``train/masks/sample_001_segmentation.png``; ``test/images``, ...

    root: the folder of the parts (train, test, any others), or of one ``images`` and one ``masks`` without parts.
    mask: the name of a mask, without suffix, made of that of its image.
    parts: those to use; all that are there where it is left out. The part is the case's own split.
    group: a regular expression whose first group is the patient in the name of an image, such as ``(P[0-9]+)_``.
    label: the one label of all cases; there is nothing to diagnose.
    empty_masks: whether there are images without a lesion, so that an empty mask is no fault.
    """

    layout = "train/images/sample_001.jpg with train/masks/sample_001_segmentation.png; test/images, ... alike"

    def __init__(
        self,
        root: Path | None,
        *,
        mask: str = "{name}_segmentation",
        parts: Annotated[tuple[str, ...], Field(strict=False)] = (),
        group: str | None = None,
        label: Annotated[str, Field(min_length=1)] = "lesion",
        empty_masks: bool = False,
    ) -> None:
        super().__init__(root)
        self.mask = mask
        self.parts = tuple(parts)
        self.group = NamePattern(group, "group")
        self.classes = (label,)
        self.lesion_classes = () if empty_masks else (label,)

    def cases(self) -> list[Case]:
        """All cases, sorted by id, ``<part>/<name>``; one without a mask file has `masks` empty.

        Raises UserError when the root is missing or has another layout, and for options that do not fit it.
        """
        cases = [case for part, folder in self._parts().items() for case in self._cases(part, folder)]
        if not cases:
            raise self._refused(self.root, "the folders of images are empty")
        if not any(case.masks for case in cases):
            expected = self._expected_mask(cases[0])
            raise self._refused(self.root, f"not a single image has a mask, such as {expected.name}")
        return sorted(cases, key=lambda case: case.id)

    def orphan_masks(self) -> list[Path]:
        """Mask files whose image is not there, sorted. Raises UserError as `cases` does."""
        orphans: list[Path] = []
        for folder in self._parts().values():
            wanted = {mask_name(self.mask, name) for name in images_in(folder / IMAGES)}
            orphans += [path for name, path in images_in(folder / MASKS).items() if name not in wanted]
        return sorted(orphans)

    def _cases(self, part: str, folder: Path) -> Iterable[Case]:
        masks = images_in(folder / MASKS)
        for name, image in images_in(folder / IMAGES).items():
            mask = masks.get(mask_name(self.mask, name))
            yield Case(
                id=f"{part}/{name}" if part else name,
                label=self.classes[0],
                image=image,
                masks=() if mask is None else (mask,),
                group=self.group.find(name),
                attributes={SPLIT: part} if part else {},
            )

    def _parts(self) -> dict[str, Path]:
        """Name -> folder of every part; without parts '' -> the root."""
        root = self._readable_root()
        found = {path.name: path for path in entries(root) if (path / IMAGES).is_dir()}
        if not found and (root / IMAGES).is_dir():
            found = {"": root}
        if not found:
            raise self._refused(root, f"not laid out in folders: no {IMAGES}/, nor a folder that holds one")
        bare = [name for name in found if name in (self.parts or found) and not (found[name] / MASKS).is_dir()]
        if bare:
            raise self._refused(root, f"no {MASKS}/ beside {IMAGES}/ in {', '.join(f'{name}/' for name in bare)}")
        if not self.parts:
            return found
        unknown = [
            Problem("dataset.options.parts", "no such part", "", part, nearest(part, found), tuple(found))
            for part in self.parts
            if part not in found
        ]
        if unknown:
            raise UserError(unknown)
        return {name: found[name] for name in self.parts}

    def _expected_mask(self, case: Case) -> Path:
        image = case.image or Path(f"{case.id}.png")
        return image.parent.with_name(MASKS) / f"{mask_name(self.mask, image.stem)}.png"
