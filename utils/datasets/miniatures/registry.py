"""Name of a dataset -> what writes its miniature."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from utils.registry import Registry

Writer = Callable[[Path, int, int], None]
"""Takes (folder, patients, seed) and writes two or more images of every patient; the folder need not be there."""

MINIATURES: Registry[Writer] = Registry("miniature")

# Imported by name and late: they read the registry above, and take pydicom and the phantoms with them.
_MODULES = ("plain", "mammograms", "tissue")


def write_miniature(name: str, folder: Path, patients: int = 12, seed: int = 7) -> Path:
    """Writes the miniature of the dataset `name` and returns `folder`; a pure function of its arguments.

    patients: or slides; labels take turns among them. Raises UserError for a dataset that has no miniature.
    """
    for module in _MODULES:
        importlib.import_module(f"utils.datasets.miniatures.{module}")
    MINIATURES[name](Path(folder), patients, seed)
    return Path(folder)
