"""Many images through an ensemble: batches are read, answered and written side by side, a few at a time.

Each thread takes a batch from its files to its results. While one is in the network, others read and write; OpenCV,
zlib and torch let go of the interpreter's lock. On a CPU every thread computes for itself, which is faster than all
of them together on one image; on a GPU one at a time does. Memory holds as many batches as there are threads.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from experiments.prediction.ensemble import Ensemble, Inference, Prediction
from experiments.prediction.images.files import KINDS, Kind, path_of, write_mask, write_probability, write_sheet
from experiments.prediction.images.sheet import sheet
from experiments.prediction.images.sources import Source
from experiments.prediction.images.table import PredictionTable, Row
from experiments.prediction.images.truth import TrueMasks, read_truth
from experiments.prediction.regions import Regions, regions, uncertainty
from experiments.training.evaluation import number
from utils.errors import UserError
from utils.identity import digest, file_digest
from utils.metrics import case_scores


@dataclass(frozen=True)
class Wishes:
    """What is wanted of every image.

    threshold, min_area: as in `regions`. kinds: the files to write. batch_size: images in a batch.
    """

    inference: Inference = field(default_factory=Inference)
    threshold: float = 0.5
    min_area: int = 0
    kinds: tuple[Kind, ...] = KINDS
    batch_size: int = 8


@dataclass(frozen=True)
class Prepared:
    """An image that has been read, and what is known of it. truth: boolean (height, width), or None."""

    source: Source
    image: np.ndarray
    truth: np.ndarray | None
    row: Row


@dataclass
class Flow:
    """Predicts images of a list into a folder. known: the rows of what was done before.

    read: an image file to uint8, (height, width) or RGB; raises OSError.
    """

    ensemble: Ensemble
    wishes: Wishes
    output: Path
    truths: TrueMasks
    read: Callable[[Path], np.ndarray]
    known: Mapping[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = PredictionTable(self.ensemble.classes)
        wishes = self.wishes
        how = wishes.inference
        asked = [list(how.sizes), how.flips, how.clip_limit, how.amp]
        self.made_by = digest([self.ensemble.identity, asked, wishes.threshold, wishes.min_area])
        # On a GPU a batch takes it as a whole, and two would take twice the memory.
        on_cpu = self.ensemble.device.type == "cpu"
        self._computing: contextlib.AbstractContextManager[object] = (
            contextlib.nullcontext() if on_cpu else threading.Lock()
        )

    def run(self, sources: Sequence[Source], threads: int, check: Callable[[], object]) -> Iterator[Row]:
        """The row of each image, as they get ready.

        check: called several times a second; may raise to stop, and then what is under way is finished and answered
        before the exception goes on. Raises OSError for files that cannot be written, NotFiniteError.
        """
        batches = _batches(sources, self.wishes.batch_size)
        waiting: set[Future[list[Row]]] = set()
        before = torch.get_num_threads(), cv2.getNumThreads()
        torch.set_num_threads(max(1, before[0] // min(threads, max(1, len(batches)))))
        cv2.setNumThreads(1)
        pool = ThreadPoolExecutor(threads, thread_name_prefix="prediction")
        stopped: BaseException | None = None
        try:
            left = iter(batches)
            while not stopped:
                # One more than there are threads, so that none of them waits for this one.
                while len(waiting) <= threads and (batch := next(left, None)):
                    waiting.add(pool.submit(self.batch, batch))
                if not waiting:
                    break
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
                try:
                    check()
                except BaseException as reason:
                    stopped = reason
            for future in waiting:
                if not future.cancel():
                    yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before[0])
            cv2.setNumThreads(before[1])
        if stopped:
            raise stopped

    def batch(self, sources: Sequence[Source]) -> list[Row]:
        """The rows of a few images, whose files it writes."""
        rows: list[Row] = []
        prepared: list[Prepared] = []
        for source in sources:
            found = self._prepared(source)
            if isinstance(found, Prepared):
                prepared.append(found)
            else:
                rows.append(found)
        if prepared:
            try:
                rows += self._answered(prepared)
            except UserError:  # a step of the preprocessing cannot take one of them
                for each in prepared:
                    try:
                        rows += self._answered([each])
                    except UserError as error:
                        rows.append({**each.row, "error": "; ".join(problem.message for problem in error.problems)})
        return rows

    def _answered(self, prepared: Sequence[Prepared]) -> list[Row]:
        """The rows of images that have been read; the images are prepared before any file is written."""
        with self._computing:
            predictions = self.ensemble.predict_all([each.image for each in prepared], self.wishes.inference)
            first = next(predictions)
        rows = [self._written(prepared[0], first)]
        for each, prediction in zip(prepared[1:], predictions, strict=True):
            rows.append(self._written(each, prediction))
        return rows

    def is_done(self, row: Row, known: Row | None, stem: str) -> bool:
        """Whether the same networks have answered the same image, and all its files are there."""
        same = ("made_by", "image_sha256", "truth")
        if known is None or known["error"] or any(row[name] != known[name] for name in same):
            return False
        return all(path_of(self.output, stem, kind).is_file() for kind in self.wishes.kinds)

    def _prepared(self, source: Source) -> Prepared | Row:
        """The image, ready to be answered; or its row, where it is done or cannot be."""
        row: Row = {"image": source.name, "made_by": self.made_by, "error": ""}
        try:
            masks = self.truths.of(source)
            row["truth"] = digest([file_digest(path) for path in masks]) if masks else ""
            row["image_sha256"] = file_digest(source.path)
            known = self.known.get(source.name)
            if known is not None and self.is_done(row, known, source.stem):
                return known
            image = self.read(source.path)
            return Prepared(source, image, read_truth(masks, image.shape[:2]) if masks else None, row)
        except (OSError, cv2.error) as error:
            return {**row, "error": " ".join(str(error).split())}

    def _written(self, prepared: Prepared, prediction: Prediction) -> Row:
        """Writes the files of an image; its row."""
        wishes, source = self.wishes, prepared.source
        found = regions(prediction.probability, wishes.threshold, wishes.min_area)
        for kind in wishes.kinds:
            path = path_of(self.output, source.stem, kind)
            if kind == "mask":
                write_mask(path, found.mask)
            elif kind == "probability":
                write_probability(path, prediction.probability)
            else:
                count = len(self.ensemble.members)
                page = sheet(prepared.image, prediction, found, self.ensemble.classes, count, source.name)
                write_sheet(path, page)
        scores = {} if prepared.truth is None else case_scores(found.mask, prepared.truth)
        return {
            **prepared.row,
            **self.table.probabilities(prediction.classes.tolist()),
            **self._facts(found, prediction),
            **{name: number(score) for name, score in scores.items()},
        }

    def _facts(self, found: Regions, prediction: Prediction) -> Row:
        several = len(self.ensemble.members) > 1
        return {
            "lesion_pixels": str(found.pixels),
            "components": str(len(found.areas)),
            "largest_component": str(found.areas[0] if found.areas else 0),
            "uncertainty": f"{uncertainty(prediction.disagreement, found.mask):.6g}" if several else "",
            "threshold": f"{self.wishes.threshold:g}",
            "clip_limit": f"{prediction.clip_limit:g}",
            "members": "; ".join(member.name for member in self.ensemble.members),
        }


def _batches(sources: Sequence[Source], size: int) -> list[Sequence[Source]]:
    return [sources[start : start + size] for start in range(0, len(sources), size)]
