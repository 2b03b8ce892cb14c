"""From an image file to what a network was trained on: read, preprocessed and resized as the training's own images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.sweep import Settings
from utils.datasets.case import Case
from utils.datasets.files.dataset import FileDataset
from utils.datasets.opening import open_dataset
from utils.identity import canonical_json
from utils.images.dicom import is_dicom, read_dicom
from utils.images.preprocessing import PREPROCESSING, preprocess
from utils.images.preprocessing.step import TEXTURE_CHANNELS
from utils.images.reading import read_image
from utils.images.resizing import resize_image

CLAHE = "clahe"


@dataclass(frozen=True)
class Preparation:
    """What is done to an image between its file and the network.

    steps: the preprocessing in canonical JSON, [name, options] each, options complete; text, so that equal ones are
    equal. size: (height, width) of the network's input.
    """

    steps: str
    size: tuple[int, int]

    @classmethod
    def of(cls, settings: Settings) -> Preparation:
        """That of the settings of a record."""
        parts = [(part.name, dict(part.options)) for part in settings.dataset.preprocessing]
        return cls(_steps(parts), settings.dataset.height_width)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8, (height, width) or RGB (height, width, 3), at any size -> the same at the network's."""
        return resize_image(preprocess(image, self.parts), self.size)

    @property
    def parts(self) -> list[tuple[str, dict[str, Any]]]:
        """The steps as pairs of name and options."""
        return [(name, options) for name, options in json.loads(self.steps)]

    @property
    def clip_limit(self) -> float:
        """Of CLAHE; 0 where there is none."""
        return next((float(options["clip_limit"]) for name, options in self.parts if name == CLAHE), 0.0)

    def with_clip_limit(self, limit: float) -> Preparation:
        """With CLAHE at another limit, in its place or, where training had none, as the last of those that change the
        image; 0 leaves it out.
        """
        parts = [(name, {**options, "clip_limit": limit} if name == CLAHE else options) for name, options in self.parts]
        if limit <= 0:
            parts = [(name, options) for name, options in parts if name != CLAHE]
        elif not any(name == CLAHE for name, _ in parts):
            place = len(parts) - (bool(parts) and parts[-1][0] == TEXTURE_CHANNELS)
            parts.insert(place, (CLAHE, {"clip_limit": limit}))
        return replace(self, steps=_steps(parts))

    def with_side(self, side: int) -> Preparation:
        """In the proportions of training, the longer side `side` pixels."""
        longest = max(self.size)
        height, width = (max(1, round(each * side / longest)) for each in self.size)
        return replace(self, size=(height, width))

    def described(self) -> dict[str, Any]:
        """As JSON-like values, for those who must do the same elsewhere."""
        height, width = self.size
        return {
            "preprocessing": [{"name": name, "options": options} for name, options in self.parts],
            "height": height,
            "width": width,
            "resizing": "cv2.INTER_AREA where a side shrinks, then cv2.INTER_LINEAR where one grows",
        }


def reader_of(settings: Settings) -> Callable[[Path], np.ndarray]:
    """How training read its images: what it does with 16 bits and with DICOM is its dataset's affair.

    The function answers uint8, (height, width) or RGB (height, width, 3), and raises OSError for a file that is no
    image.
    """
    dataset = open_dataset(settings.dataset.name, None, dict(settings.dataset.options))
    if isinstance(dataset, FileDataset):
        return lambda path: dataset.read_image(Case(path.stem, "", path))
    return lambda path: read_dicom(path) if is_dicom(path) else read_image(path)


def _steps(parts: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    return canonical_json([[name, PREPROCESSING.check(name, options)] for name, options in parts])
