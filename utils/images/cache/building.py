"""Builds caches: threads read and prepare cases, one writes them in their order.

Threads, since the work is done in OpenCV and zlib, which let go of the interpreter's lock.
"""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import cv2
import numpy as np

from utils.datasets.case import SOURCE, Case, Dataset, KnowsInstances
from utils.errors import Problem, UserError
from utils.identity import digest
from utils.images.cache.manifest import FORMAT_VERSION, INSTANCES, fault_of, write_manifest
from utils.images.cache.placing import install, remove_abandoned, temporary_folder
from utils.images.preprocessing import PREPROCESSING, PREPROCESSING_VERSION, check_order, preprocess
from utils.images.resizing import resize_image, resize_mask

Parts = Sequence[tuple[str, Mapping[str, Any]]]

_Result = TypeVar("_Result")

_AT_A_TIME = 8
"""The most cases that a thread takes at once: if threads wait for each other after every one, a tenth of their time
is lost."""


def cache_key(
    contents: Mapping[str, str], parts: Parts, image_size: tuple[int, int], classes: Sequence[str] = ()
) -> str:
    """16 hexadecimal digits that name the cache of these cases.

    contents: case id -> hash of the case (`Dataset.content`). parts: preprocessing steps; options that are
    left out count as their defaults. image_size: (height, width). classes: `Dataset.classes`, whose order
    gives the labels their numbers. Raises UserError for steps that cannot follow each other.
    """
    check_order(parts)
    return digest(
        {
            "format": FORMAT_VERSION,
            "preprocessing_version": PREPROCESSING_VERSION,
            "preprocessing": [[name, PREPROCESSING.check(name, options)] for name, options in parts],
            "image_size": list(image_size),
            "contents": dict(contents),
            "classes": list(classes),
        },
        length=16,
    )


def build_cache(
    dataset: Dataset,
    cases: Iterable[Case],
    parts: Parts,
    image_size: tuple[int, int],
    folder: Path,
    workers: int = 1,
    on_progress: Callable[[int, int], object] | None = None,
) -> Path:
    """The folder of the cache of these cases, ``folder/<key>``; built unless it is there and sound.

    image_size: (height, width). workers: threads that read and prepare images. on_progress: called in this
    thread with (cases done, all cases) while building.

    Several processes may build the same cache at once: the first to finish wins. A damaged cache is set aside
    as ``<key>.damaged``, with a warning, and built again. Raises UserError naming every case that cannot be
    read, whose image and masks differ in size or cannot be taken by a step, or whose label is not among the classes.
    """
    cases = sorted(cases, key=lambda case: case.id)
    _check_cases(dataset, cases)
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    with ThreadPoolExecutor(workers, thread_name_prefix="image-cache") as pool:
        # So few that no thread is left with many when the others are done.
        at_a_time = min(_AT_A_TIME, len(cases) // (16 * workers)) or 1
        hashes = _in_order(pool, dataset.content, cases, workers, 4 * at_a_time)
        contents = dict(zip((case.id for case in cases), hashes, strict=True))
        place = folder / cache_key(contents, parts, image_size, dataset.classes)
        if place.exists():
            fault = fault_of(place)
            if not fault:
                return place
            warnings.warn(f"image cache {place} is damaged ({fault}); it is built again", stacklevel=2)
        with temporary_folder(place) as temporary:
            # Asked once: looking for a protocol's methods takes as long as hashing a file.
            numbered = dataset if isinstance(dataset, KnowsInstances) else None
            prepare = partial(_prepare, dataset, numbered, parts, image_size)
            prepared = _in_order(pool, prepare, cases, workers, at_a_time)
            _write(temporary, dataset, cases, image_size, prepared, on_progress)
            write_manifest(temporary, [case.id for case in cases], dataset.classes, _told(cases), pool.map)
            install(temporary, place)
    return place


class _Prepared(NamedTuple):
    """One case as it is stored."""

    image: np.ndarray
    mask: np.ndarray
    native_bits: np.ndarray
    native_size: tuple[int, int]
    instances: np.ndarray | None


def _prepare(
    dataset: Dataset, numbered: KnowsInstances | None, parts: Parts, image_size: tuple[int, int], case: Case
) -> _Prepared | Problem:
    try:
        image, mask = dataset.read_image(case), dataset.read_mask(case)
        instances = None if numbered is None else numbered.read_instances(case)
    except (OSError, ValueError) as error:
        return Problem(case.id, f"cannot be read: {error}")
    if image.shape[:2] != mask.shape:
        return Problem(case.id, f"the image has {image.shape[:2]} pixels (height, width), its mask {mask.shape}")
    if instances is not None and not (np.array_equal(instances > 0, mask > 0) and instances.max() < 2**16):
        return Problem(case.id, "its instances are not the pixels of its mask, or are more than 65,535")
    try:
        resized = resize_image(preprocess(image, parts), image_size)
    except UserError as error:
        return Problem(case.id, "; ".join(problem.message for problem in error.problems))
    numbers = None if instances is None else instances.astype(np.uint16)
    return _Prepared(resized, resize_mask(mask, image_size), np.packbits(mask), mask.shape, numbers)


def _check_cases(dataset: Dataset, cases: Sequence[Case]) -> None:
    problems = [
        Problem(case.id, "unknown label", value=case.label, choices=dataset.classes)
        for case in cases
        if case.label not in dataset.classes
    ]
    problems += [
        Problem(case.id, "this case id occurs twice")
        for case, following in itertools.pairwise(cases)
        if case.id == following.id
    ]
    if not cases:
        problems.append(Problem("dataset", "there are no cases"))
    if problems:
        raise UserError(problems)


def _in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[Case], _Result],
    cases: Sequence[Case],
    workers: int,
    at_a_time: int,
) -> Iterator[_Result]:
    """Results in the order of the cases, with only some of them under way: memory stays bounded."""
    waiting: deque[Future[list[_Result]]] = deque()
    try:
        for first in range(0, len(cases), at_a_time):
            waiting.append(pool.submit(_each, function, cases[first : first + at_a_time]))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _each(function: Callable[[Case], _Result], cases: Sequence[Case]) -> list[_Result]:
    return [function(case) for case in cases]


class _Images:
    """The images' file, which starts grey and becomes RGB when the first image with colours arrives.

    Files are written, not mapped: on a full disk a write raises OSError, a page of a map kills the process.
    """

    def __init__(self, path: Path, count: int, size: tuple[int, int]) -> None:
        self.path = path
        self.shape: tuple[int, ...] = (count, *size)
        self.file = _start_array(path, self.shape)

    def append(self, image: np.ndarray) -> None:
        if image.ndim == 3 and len(self.shape) == 3:
            self._become_rgb()
        if image.ndim == 2 and len(self.shape) == 4:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        self.file.write(np.ascontiguousarray(image).data)

    def _become_rgb(self) -> None:
        self.file.close()
        grey = self.path.with_suffix(".grey")
        self.path.rename(grey)
        _, height, width = self.shape
        self.shape = (*self.shape, 3)
        self.file = _start_array(self.path, self.shape)
        with grey.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            while pixels := file.read(height * width):
                self.append(np.frombuffer(pixels, np.uint8).reshape(height, width))
        grey.unlink()


def _start_array(path: Path, shape: tuple[int, ...]) -> BinaryIO:
    """An open .npy file for uint8 pixels, with its header."""
    file = path.open("wb")
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file


def _write(
    folder: Path,
    dataset: Dataset,
    cases: Sequence[Case],
    image_size: tuple[int, int],
    results: Iterator[_Prepared | Problem],
    on_progress: Callable[[int, int], object] | None,
) -> None:
    """All files of a cache but its manifest. Raises UserError with the problems of all cases, if there are any."""
    problems: list[Problem] = []
    sizes: list[tuple[int, int]] = []
    offsets = [0]
    with ExitStack() as stack:
        images = _Images(folder / "images.npy", len(cases), image_size)
        stack.callback(lambda: images.file.close())
        masks = stack.enter_context(_start_array(folder / "masks.npy", (len(cases), *image_size)))
        bits = stack.enter_context((folder / "native_masks.bits").open("wb"))
        known = isinstance(dataset, KnowsInstances)
        instances = stack.enter_context((folder / INSTANCES).open("wb")) if known else None
        for done, result in enumerate(results, start=1):
            if isinstance(result, Problem):
                problems.append(result)
            else:
                images.append(result.image)
                masks.write(result.mask.data)
                bits.write(result.native_bits.data)
                if instances is not None and result.instances is not None:
                    instances.write(np.ascontiguousarray(result.instances).data)
                sizes.append(result.native_size)
                offsets.append(offsets[-1] + result.native_bits.size)
            if on_progress:
                on_progress(done, len(cases))
    if problems:
        raise UserError(problems)
    np.save(folder / "labels.npy", np.array([dataset.classes.index(case.label) for case in cases], np.int64))
    np.save(folder / "sizes.npy", np.array(sizes, np.int64))
    np.save(folder / "offsets.npy", np.array(offsets, np.int64))


def _told(cases: Sequence[Case]) -> dict[str, list[Any]]:
    """What only some datasets know of their cases; nothing of the others, whose caches stay what they were."""
    sources = [case.attributes.get(SOURCE) for case in cases]
    spacings = [case.spacing for case in cases]
    return {
        **({"sources": sources} if any(sources) else {}),
        # Of all cases or of none: a mean of millimetres and pixels would be of neither.
        **({"spacings": spacings} if all(spacings) else {}),
    }
