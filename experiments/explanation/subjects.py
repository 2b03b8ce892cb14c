"""What is explained: the test cases of finished runs, each by the network that has never seen it, or other images."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.prediction.images.sources import Source
from experiments.prediction.images.truth import TrueMasks, read_truth
from experiments.prediction.selection import SelectedRun, Selection
from utils.datasets.case import Case, Dataset
from utils.datasets.opening import open_dataset
from utils.errors import Problem, UserError
from utils.identity import digest


@dataclass(frozen=True)
class Subject:
    """An image to explain. name: its id or path. label: its true diagnosis, '' where that is not known.

    members: numbers of the runs whose networks are asked. read: the image, uint8 (H, W) or RGB (H, W, 3), and the true
    mask, boolean (H, W), None where there is none to compare with. It raises OSError or ValueError for bad files.
    """

    name: str
    label: str
    members: tuple[int, ...]
    read: Callable[[], tuple[np.ndarray, np.ndarray | None]]


def tested(selection: Selection, each: int) -> list[Subject]:
    """Test cases of the runs, by class and id: `each` of every class, or all where there are fewer.

    Which ones is a matter of chance that is the same every time, and does not hang on the runs: two configurations of
    a sweep are explained on the same cases. Raises UserError where the data of the runs are not at hand.
    """
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for number, run in enumerate(selection.runs):
        for case, label in _test_cases(run):
            found[label].append((case, number))
    known: dict[tuple[int, str], Case] = {}
    datasets = [_open(run) for run in selection.runs]
    for number, dataset in enumerate(datasets):
        known |= {(number, case.id): case for case in dataset.cases()}
    subjects = []
    for label in sorted(found):
        drawn = sorted(found[label], key=lambda one: digest([selection.sweep, one[0]]))[:each]
        for name, number in sorted(drawn):
            if (number, name) not in known:
                message = f"cases that {selection.runs[number].name} was tested on are gone, such as {name}"
                raise UserError(Problem("dataset", message))
            read = _reading(datasets[number], known[number, name])
            subjects.append(Subject(name, label, (number,), read))
    return subjects


def given(
    sources: Sequence[Source], truth: TrueMasks, reader: Callable[[Path], np.ndarray], members: int
) -> list[Subject]:
    """Image files, each explained by all networks. reader: as `experiments.prediction.preparation.reader_of`."""

    def reading(source: Source) -> Callable[[], tuple[np.ndarray, np.ndarray | None]]:
        def read() -> tuple[np.ndarray, np.ndarray | None]:
            image, masks = reader(source.path), truth.of(source)
            return image, read_truth(masks, image.shape[:2]) if masks else None

        return read

    return [Subject(source.name, "", tuple(range(members)), reading(source)) for source in sources]


def _test_cases(run: SelectedRun) -> list[tuple[str, str]]:
    """(id, label) of the cases that a run was scored on."""
    path = run.folder / "cases.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [(row["case"], row["label"]) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise UserError(Problem(str(path), f"cannot be read ({error}), and with it what was tested")) from None


def _open(run: SelectedRun) -> Dataset:
    settings = run.settings.dataset
    return open_dataset(settings.name, settings.root, dict(settings.options))


def _reading(dataset: Dataset, case: Case) -> Callable[[], tuple[np.ndarray, np.ndarray | None]]:
    return lambda: (dataset.read_image(case), dataset.read_mask(case).astype(bool))
