"""A case, and the interface of everything that can supply cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from utils.registry import Registry

SOURCE = "source"
"""The attribute that says which of several joined datasets, or which hospital or device, a case is from."""

SPLIT = "split"
"""The attribute that says to which part the data themselves assign a case: train, validation or test."""

CROP = "crop"
"""The attribute of a case that is cut out of an image: its box, or ``whole``. Its lesion may lie outside."""


@dataclass(frozen=True)
class Case:
    """One image with its masks, label and group.

    id: unique within the dataset, stable between machines (``benign/benign (1)``).
    label: one of the dataset's classes.
    image: the image file; None where the dataset makes its images.
    masks: the files that all masks are read or drawn from, merged by OR; empty for a missing mask or a made image.
    group: what must not cross a fold (a patient); None where the data does not say.
    attributes: anything else that the dataset knows and a report may show; see `SOURCE`, `SPLIT` and `CROP`.
    unmarked: whether the data say that there is nothing to draw, so that no mask file is missed.
    spacing: height and width of a pixel in mm; None where the data does not say.
    """

    id: str
    label: str
    image: Path | None = None
    masks: tuple[Path, ...] = ()
    group: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    unmarked: bool = False
    spacing: tuple[float, float] | None = None


class Dataset(Protocol):
    """A source of cases. Registered factories take ``(root: Path | None, *, <options>)``."""

    classes: tuple[str, ...]
    """The labels in the order of the network's outputs."""

    lesion_classes: tuple[str, ...]
    """The labels whose cases must have a non-empty mask."""

    def cases(self) -> list[Case]:
        """All cases, sorted by id. Raises UserError when the root is missing or has another layout."""
        ...

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width) for grey or (height, width, 3) for RGB. Raises OSError if unreadable."""
        ...

    def read_mask(self, case: Case) -> np.ndarray:
        """uint8 of 0 and 1, (height, width) of the mask files, merged by OR.

        Raises OSError if a file is unreadable or missing, ValueError if the masks differ in size.
        """
        ...

    def content(self, case: Case) -> str:
        """A hash of everything that determines the case: bytes of its files, label and group."""
        ...


@runtime_checkable
class KnowsInstances(Protocol):
    """What a `Dataset` may offer besides: which pixels of a mask belong to the same lesion or nucleus."""

    def read_instances(self, case: Case) -> np.ndarray:
        """int32, (height, width): 1, 2, ... for the instances, 0 where `read_mask` is 0. Raises as that does."""
        ...


DATASETS: Registry = Registry("dataset")
"""Name -> factory of a `Dataset`."""
