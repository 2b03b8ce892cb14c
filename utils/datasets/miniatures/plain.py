"""Miniatures of the datasets that are of no field: BUSI, folders, a manifest."""

from __future__ import annotations

from pathlib import Path

from utils.datasets.miniatures.files import picture, write_image, write_lines
from utils.datasets.miniatures.registry import MINIATURES
from utils.datasets.phantom import Phantom
from utils.identity import derive_seed
from utils.images.phantoms import near_duplicate


@MINIATURES.register("busi")
def busi(folder: Path, patients: int, seed: int) -> None:
    """Twice as many phantoms as there are patients, of whom BUSI does not tell."""
    Phantom(cases=2 * patients, seed=seed, height=72, width=80).write_busi_layout(folder)


@MINIATURES.register("folders")
def folders(folder: Path, patients: int, seed: int) -> None:
    """Two neighbouring frames of each patient: grouped for being alike, since the names do not tell."""
    for patient in range(patients):
        part = folder / ("test" if patient % 4 == 3 else "train")
        image, mask = picture("benign", seed, "folders", patient)
        frames = [(image, mask), near_duplicate(image, mask, derive_seed("folders", seed, patient))]
        for number, (frame, drawn) in enumerate(frames, start=2 * patient + 1):
            write_image(part / "images" / f"sample_{number:03}.jpg", frame)
            write_image(part / "masks" / f"sample_{number:03}_segmentation.png", drawn * (255 if patient % 2 else 1))


@MINIATURES.register("manifest")
def manifest(folder: Path, patients: int, seed: int) -> None:
    """Two images of each patient, from two hospitals; healthy ones without a mask."""
    lines = ["image,mask,label,group,split,source,spacing"]
    for patient in range(patients):
        label = ("benign", "malignant", "normal")[patient % 3]
        split = ("train", "train", "validation", "test")[patient // 3 % 4]
        for view in ("left", "right"):
            image, mask = picture(label, seed, "manifest", patient, view)
            name = f"p{patient:02}_{view}.png"
            write_image(folder / "images" / name, image)
            drawn = "" if label == "normal" else f"masks/{name}"
            if drawn:
                write_image(folder / drawn, 255 * mask)
            hospital = ("north", "south")[patient % 2]
            lines.append(f"images/{name},{drawn},{label},p{patient:02},{split},{hospital},0.1 0.12")
    write_lines(folder / "manifest.csv", *lines)
