"""Several datasets as one: every case says which of them it is from, and folds can hold out a whole one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from utils.datasets.case import DATASETS, SOURCE, Case, Dataset, KnowsInstances
from utils.datasets.opening import open_dataset
from utils.errors import Problem, UserError, nearest
from utils.identity import digest

_WHERE = "dataset.options.sources"


class Source(BaseModel):
    """One of the datasets. name, root, options: as under ``dataset``. labels: its label -> what the whole calls it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    root: Path | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)


@DATASETS.register("joined")
class Joined:
    """``sources: {clinic: {name: busi, root: data/clinic}, public: {name: busi, root: data/busi}}``.

    root: the folder that the roots of the sources are relative to; where it is left out, they are as ``dataset.root``.
    sources: what each is called, and which dataset it is. Labels of one name are one class, renamed by its ``labels``.
    Case ids and groups get the name of the source in front. `Case.attributes` tells it, too: ``folds: {from: source}``
    tests on each source what was trained on the others.
    """

    def __init__(self, root: Path | None = None, *, sources: Annotated[dict[str, Source], Field(min_length=1)]) -> None:
        self.root = None if root is None else Path(root)
        self.sources = {name: Source.model_validate(source) for name, source in sources.items()}

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels of all sources, those of the first one first. Raises UserError as `cases` does."""
        return tuple(
            dict.fromkeys(
                self._renamed(name, label) for name, dataset in self._datasets.items() for label in dataset.classes
            )
        )

    @property
    def lesion_classes(self) -> tuple[str, ...]:
        """The labels whose cases must have a lesion in every source that has them."""
        without = {
            self._renamed(name, label)
            for name, dataset in self._datasets.items()
            for label in dataset.classes
            if label not in dataset.lesion_classes
        }
        return tuple(label for label in self.classes if label not in without)

    def cases(self) -> list[Case]:
        """All cases of all sources, sorted by id. Raises UserError with what is wrong with any of them."""
        return sorted((self._of_whole(name, case) for name, case in self._members.values()), key=lambda case: case.id)

    def orphan_masks(self) -> list[Path]:
        """Mask files without an image, of the sources that look for them."""
        return sorted(
            path
            for dataset in self._datasets.values()
            for path in (dataset.orphan_masks() if hasattr(dataset, "orphan_masks") else ())
        )

    def read_image(self, case: Case) -> np.ndarray:
        """uint8, (height, width) for grey or (height, width, 3) for RGB. Raises OSError if unreadable."""
        name, own = self._members[case.id]
        return self._datasets[name].read_image(own)

    def read_mask(self, case: Case) -> np.ndarray:
        """uint8 of 0 and 1, (height, width). Raises as the source does."""
        name, own = self._members[case.id]
        return self._datasets[name].read_mask(own)

    def read_instances(self, case: Case) -> np.ndarray:
        """int32, (height, width); of a source that knows none, the connected components of its mask."""
        name, own = self._members[case.id]
        dataset = self._datasets[name]
        if isinstance(dataset, KnowsInstances):
            return dataset.read_instances(own)
        return cv2.connectedComponents(dataset.read_mask(own), connectivity=8, ltype=cv2.CV_32S)[1]

    def content(self, case: Case) -> str:
        """A hash of what the source's own is of, of the source's name, and of label and group."""
        name, own = self._members[case.id]
        return digest([name, self._datasets[name].content(own), case.label, case.group], length=64)

    def _of_whole(self, name: str, case: Case) -> Case:
        return replace(
            case,
            id=f"{name}/{case.id}",
            label=self._renamed(name, case.label),
            group=None if case.group is None else f"{name}/{case.group}",
            attributes={**case.attributes, SOURCE: name},
        )

    def _renamed(self, name: str, label: str) -> str:
        return self.sources[name].labels.get(label, label)

    @cached_property
    def _members(self) -> Mapping[str, tuple[str, Case]]:
        """Case id of the whole -> the source's name, and the case as the source knows it."""
        found: dict[str, tuple[str, Case]] = {}
        problems: list[Problem] = []
        for name, dataset in self._datasets.items():
            try:
                found |= {f"{name}/{case.id}": (name, case) for case in dataset.cases()}
                problems += self._unknown_labels(name, dataset)
            except UserError as error:
                problems += _of_source(name, error.problems)
        if problems:
            raise UserError(problems)
        return found

    @cached_property
    def _datasets(self) -> Mapping[str, Dataset]:
        found: dict[str, Dataset] = {}
        problems: list[Problem] = []
        for name, source in self.sources.items():
            if not name or "/" in name:  # with one, two sources could give two cases one id
                problems.append(Problem(_WHERE, "a source must have a name without /", value=name))
                continue
            root = source.root if self.root is None or source.root is None else self.root / source.root
            try:
                found[name] = open_dataset(source.name, root, source.options)
            except UserError as error:
                problems += _of_source(name, error.problems)
        if problems:
            raise UserError(problems)
        return found

    def _unknown_labels(self, name: str, dataset: Dataset) -> Iterable[Problem]:
        for label in self.sources[name].labels:
            if label not in dataset.classes:
                where, choices = f"{_WHERE}.{name}.labels", dataset.classes
                yield Problem(where, "no such label", "", label, nearest(label, choices), choices)


def _of_source(name: str, problems: Iterable[Problem]) -> Iterable[Problem]:
    """Problems of a source's own settings, as those of the whole: ``dataset.root`` is one of its options."""
    for problem in problems:
        first, _, rest = problem.where.partition(".")
        yield replace(problem, where=f"{_WHERE}.{name}.{rest or 'name'}" if first == "dataset" else problem.where)
