"""OralEpitheliumDB: oral epithelial dysplasia in the tongues of mice, H&E, every nucleus drawn.

A. B. Silva et al.: OralEpitheliumDB: a dataset for oral epithelial dysplasia image segmentation and classification.
Journal of Imaging Informatics in Medicine 37 (2024) 1691-1710, doi 10.1007/s10278-024-01041-w. 456 tiles of 450 x 250
pixels at 40x, 114 of each grade, from 30 tongues. Data: zenodo.org/records/17693395, which states the licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from utils.datasets.case import DATASETS
from utils.datasets.files.naming import NamePattern
from utils.datasets.histology.tiles import GRADES, Tiles

IMAGES = "Original ROI images"
MASKS = {
    "instance": "Gold_Standard_Instance_Segmentation",
    "semantic": "Gold_Standard_Semantic_Segmentation",
}


@DATASETS.register("oral_epithelium")
class OralEpithelium(Tiles):
    """``Original ROI images/mild/mild-01-roi1.tif``, ``Gold_Standard_Instance_Segmentation/mild/mild-01-roi1.png``.

    The four grades are folders. What this relies on, and the publication does not say: that the number behind the grade
    is that of the slide, which is the group, and that in an instance mask every nucleus has a grey value, or a colour,
    of its own on black. In a semantic mask nuclei are white, and those that touch are one.

    root: the folder of these folders, or the one above it.
    masks: which of the two.
    slide: a regular expression whose first group is the slide in the name of a tile.
    """

    layout = f"{IMAGES}/<grade>/<grade>-01-roi1.tif and {MASKS['instance']}/<grade>/<grade>-01-roi1.png"
    source = "https://zenodo.org/records/17693395"

    def __init__(
        self,
        root: Path | None,
        *,
        masks: Literal["instance", "semantic"] = "instance",
        slide: str = r"^(.+)-roi",
    ) -> None:
        super().__init__(root, GRADES, NamePattern(slide, "slide"))
        self.masks = masks

    def _folders(self) -> Mapping[str, tuple[Path, Path]]:
        names = [f"{part}/{grade}" for part in (IMAGES, MASKS[self.masks]) for grade in GRADES]
        place = self._folder(names)
        return {grade: (place / IMAGES / grade, place / MASKS[self.masks] / grade) for grade in GRADES}
