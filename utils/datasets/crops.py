"""The second stage of a cascade: the cases of another dataset, each cut to a box that a first stage has found.

The boxes, and which dataset they are of, lie in a folder: nothing of the images is copied, so that a crop is read as
the dataset itself reads its images, with their spacing, their instances and their groups.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from utils.datasets.case import CROP, DATASETS, Case, Dataset, KnowsInstances
from utils.datasets.files.table import Row, read_table
from utils.datasets.opening import open_dataset
from utils.errors import Problem, UserError, nearest, shortened
from utils.identity import digest

BOXES_FILE = "boxes.csv"
DATASET_FILE = "dataset.json"
COLUMNS = ("case", "group", "height", "width", "all", "largest")
"""What the table of boxes must have: the case and its group, the image's pixels, and the boxes around all that was
found and around the largest part of it, ``top left bottom right``, empty where nothing was found."""


class Box(NamedTuple):
    """Rows top to bottom and columns left to right, in pixels; the lower right ones are the first outside."""

    top: int
    left: int
    bottom: int
    right: int

    def __str__(self) -> str:
        return f"{self.top} {self.left} {self.bottom} {self.right}"

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """The box of an array (height, width, ...), as a copy."""
        return pixels[self.top : self.bottom, self.left : self.right].copy()


class Located(NamedTuple):
    """What the first stage says of a case. size: (height, width) of the image. box: None where it found nothing."""

    group: str
    size: tuple[int, int]
    box: Box | None


class Whole(BaseModel):
    """The dataset whose cases are cut. name, root, options: as under ``dataset``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    root: Path | None = None
    options: dict[str, Any] = Field(default_factory=dict)


@DATASETS.register("crops")
class Crops:
    """``dataset: {name: crops, root: "${predictions:region}", options: {margin: 0.1}}`` after a sweep ``region``.

    A case in which the first stage found nothing is there whole. A crop may hold no lesion though its label is one of
    a lesion: the first stage has missed it, which the audit counts and the cascade's own scores charge for.

    root: the folder of ``boxes.csv`` and ``dataset.json``, as a sweep's out-of-fold predictions are kept.
    around: all that was found in the image, or the largest connected part of it.
    margin: added on every side, as a share of the box's longer side; what leads out of the image is left out.
    least: pixels that a side has at least, where the image has them.
    of: another dataset with the same cases, such as the lesions of images whose breast the first stage has found; its
        images are cut, and must have the size of those that were seen. Left out, it is that of the first stage.
    """

    layout = f"{BOXES_FILE} with the columns {', '.join(COLUMNS)}, and {DATASET_FILE} with the dataset that they are of"

    def __init__(
        self,
        root: Path | None,
        *,
        around: Literal["all", "largest"] = "all",
        margin: Annotated[float, Field(ge=0, le=10)] = 0.1,
        least: Annotated[int, Field(ge=8, le=8192)] = 32,
        of: Whole | None = None,
    ) -> None:
        self.root = None if root is None else Path(root)
        self.around, self.margin, self.least = around, margin, least
        self._of = None if of is None else Whole.model_validate(of)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels in the order of the network's outputs. Raises UserError as `cases` does."""
        return self._dataset.classes

    @property
    def lesion_classes(self) -> tuple[str, ...]:
        """The labels of images with a lesion, which a crop may nevertheless have missed."""
        return self._dataset.lesion_classes

    def cases(self) -> list[Case]:
        """All cases that have a box, sorted by id. Raises UserError where that or the dataset cannot be used."""
        return sorted((self._cropped(case) for case in self._whole.values()), key=lambda case: case.id)

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width) for grey or (height, width, 3) for RGB, of the crop. Raises OSError if unreadable."""
        return self._cut(case, self._dataset.read_image)

    def read_mask(self, case: Case) -> np.ndarray:
        """uint8 of 0 and 1, (height, width) of the crop. Raises as the dataset does."""
        return self._cut(case, self._dataset.read_mask)

    def read_instances(self, case: Case) -> np.ndarray:
        """int32, (height, width) of the crop; of a dataset that knows none, the connected parts of its mask."""
        if isinstance(self._dataset, KnowsInstances):
            return self._cut(case, self._dataset.read_instances)
        return cv2.connectedComponents(self.read_mask(case), connectivity=8, ltype=cv2.CV_32S)[1]

    def read_whole_mask(self, case: Case) -> np.ndarray:
        """uint8 of 0 and 1, (height, width) of the uncut image. Raises as the dataset does."""
        return self._dataset.read_mask(self._whole[case.id])

    def content(self, case: Case) -> str:
        """A hash of the uncut case, of its box, and of label and group."""
        whole = self._dataset.content(self._whole[case.id])
        return digest([whole, list(self.box(case)), case.label, case.group], length=64)

    def box(self, case: Case) -> Box:
        """Where the crop lies in the image: the whole of it where nothing was found."""
        return self._box(self._located[case.id])

    def box_around(self, mask: np.ndarray) -> Box:
        """Where the crop of an image lies in which a first stage has just found this. mask: bool (height, width)."""
        found, (height, width) = boxes_of(mask), mask.shape
        box = None if found is None else found[0] if self.around == "all" else found[1]
        return self._box(Located("", (height, width), box))

    def found(self, case: Case) -> bool:
        """Whether the first stage found anything."""
        return self._located[case.id].box is not None

    def _box(self, located: Located) -> Box:
        height, width = located.size
        if located.box is None:
            return Box(0, 0, height, width)
        top, left, bottom, right = located.box
        margin = round(self.margin * max(bottom - top, right - left))
        rows = _widened(top - margin, bottom + margin, self.least, height)
        columns = _widened(left - margin, right + margin, self.least, width)
        return Box(rows[0], columns[0], rows[1], columns[1])

    def _cropped(self, case: Case) -> Case:
        located = self._located[case.id]
        attributes = {**case.attributes, CROP: str(self._box(located)) if located.box is not None else "whole"}
        return replace(case, group=located.group, attributes=attributes)

    def _cut(self, case: Case, read: Callable[[Case], np.ndarray]) -> np.ndarray:
        pixels = read(self._whole[case.id])
        if pixels.shape[:2] != self._located[case.id].size:
            height, width = self._located[case.id].size
            seen = f"the image whose box was found has {width}x{height} pixels"
            raise ValueError(f"case {case.id}: {pixels.shape[1]}x{pixels.shape[0]} pixels, but {seen}")
        return self.box(case).cut(pixels)

    @cached_property
    def _whole(self) -> Mapping[str, Case]:
        """Case id -> the uncut case, of those that have a box."""
        known = {case.id: case for case in self._dataset.cases() if case.id in self._located}
        if not known:
            raise self._refused(f"none of the cases in {BOXES_FILE} is in the dataset")
        return known

    @cached_property
    def _dataset(self) -> Dataset:
        if self._of is not None:
            return open_dataset(self._of.name, self._of.root, self._of.options)
        try:
            text = (self._folder() / DATASET_FILE).read_text(encoding="utf-8")
            whole = Whole.model_validate(json.loads(text))
        except (OSError, ValueError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise self._refused(f"{DATASET_FILE} cannot be read ({reason})") from None
        if whole.name not in DATASETS:
            raise self._refused(f"{DATASET_FILE} names no dataset ({nearest(whole.name, DATASETS) or whole.name})")
        return open_dataset(whole.name, whole.root, whole.options)

    @cached_property
    def _located(self) -> Mapping[str, Located]:
        """Case id -> what the first stage says of it."""
        table = read_table(self._folder() / BOXES_FILE, COLUMNS)
        found: dict[str, Located] = {}
        problems: list[Problem] = []
        for row in table:
            try:
                size = int(row["height"]), int(row["width"])
                found[row["case"]] = Located(row["group"], size, _read_box(row, self.around, size))
            except ValueError:
                problems.append(row.problem("no box in an image of this size", row[self.around]))
        if problems:
            raise UserError(shortened(problems))
        return found

    def _folder(self) -> Path:
        """The root. Raises UserError where it is not one."""
        if self.root is None:
            raise self._refused("the dataset needs a folder")
        for name in (BOXES_FILE, DATASET_FILE):
            try:
                there = (self.root / name).is_file()
            except (OSError, ValueError):
                there = False
            if not there:
                raise self._refused(f"no {name} in it")
        return self.root

    def _refused(self, fault: str) -> UserError:
        how = 'a sweep\'s own are asked for by root: "${predictions:<sweep>}"; `--demo` runs on made images'
        value = None if self.root is None else str(self.root)
        return UserError(Problem("dataset.root", f"{fault}. Expected: {self.layout}; {how}", value=value))


def boxes_of(mask: np.ndarray) -> tuple[Box, Box] | None:
    """The boxes around all of a mask, bool (height, width), and around its largest connected part; None if empty."""
    count, _, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        return None
    left, top = statistics[1:, cv2.CC_STAT_LEFT], statistics[1:, cv2.CC_STAT_TOP]
    right, bottom = left + statistics[1:, cv2.CC_STAT_WIDTH], top + statistics[1:, cv2.CC_STAT_HEIGHT]
    largest = int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    whole = Box(int(top.min()), int(left.min()), int(bottom.max()), int(right.max()))
    return whole, Box(int(top[largest]), int(left[largest]), int(bottom[largest]), int(right[largest]))


def _read_box(row: Row, column: str, size: tuple[int, int]) -> Box | None:
    """The box in a cell, None for an empty one. Raises ValueError for anything but a box in the image."""
    if min(size) < 1:
        raise ValueError(size)
    if not row[column]:
        return None
    top, left, bottom, right = (int(number) for number in row[column].split())
    if not (0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]):
        raise ValueError(row[column])
    return Box(top, left, bottom, right)


def _widened(low: int, high: int, least: int, end: int) -> tuple[int, int]:
    """The part of an interval within 0 to `end`, of at least so many pixels: moved rather than cut short at an edge."""
    low, high = max(0, low), min(end, high)
    side = max(high - low, min(least, end))
    low = min(max(0, low - (side - (high - low)) // 2), end - side)
    return low, low + side
