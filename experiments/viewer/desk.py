"""The images that are looked at, with their predictions: computed once, and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from experiments.prediction import Ensemble, Prediction
from experiments.prediction.images.files import path_of, write_mask, write_sheet
from experiments.prediction.images.sources import Source
from experiments.prediction.images.truth import TrueMasks, read_truth
from experiments.viewer.picture import Seen, mask_of, rendered
from experiments.viewer.state import View
from utils.errors import UserError

KEPT = 16
"""Predictions; one of a 1024 x 1024 image takes 8 MB."""

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The values that were used last, at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._most = most

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not there."""
        if key not in self._values:
            self._values[key] = make()
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]


class Desk:
    """What a viewer is asked for: pictures of views, and their files.

    reader: an image file to uint8, (H, W) or RGB (H, W, 3); raises OSError. An image that cannot be read or predicted
    is one that says so. Networks that have diverged raise NotFiniteError.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        sources: Sequence[Source],
        truths: TrueMasks,
        reader: Callable[[Path], np.ndarray],
    ) -> None:
        self.ensemble, self.sources = ensemble, tuple(sources)
        self._truths, self._reader = truths, reader
        self._images: Recent[Seen] = Recent(KEPT)
        self._predictions: Recent[Prediction | str] = Recent(KEPT)

    def first(self) -> View:
        """Where looking begins, with the contrast of training."""
        return View.of(len(self.sources), self.ensemble.members[0].preparation.clip_limit)

    def is_ready(self, view: View) -> bool:
        """Whether the view can be shown at once."""
        return (view.index, view.inference) in self._predictions

    def seen(self, view: View, predicted: bool = True) -> Seen:
        """The image of a view. predicted: whether with its prediction, which may take seconds the first time."""
        seen = self._images.get(view.index, lambda: self._read(view.index))
        if seen.image is None or not predicted:
            return seen
        image = seen.image
        answer = self._predictions.get((view.index, view.inference), lambda: self._predict(image, view))
        return replace(seen, error=answer) if isinstance(answer, str) else replace(seen, prediction=answer)

    def picture(self, view: View, predicted: bool = True) -> np.ndarray:
        """RGB uint8, as `rendered`."""
        return rendered(view, self.seen(view, predicted), self.ensemble.classes)

    def save(self, view: View, output: Path) -> list[Path]:
        """Writes the mask at the image's own size, and the picture, into a folder; none where nothing is predicted."""
        seen = self.seen(view)
        if seen.prediction is None:
            return []
        stem = self.sources[view.index].stem
        mask, page = path_of(output, stem, "mask"), output / f"{stem}_view.png"
        write_mask(mask, mask_of(view, seen.prediction))
        write_sheet(page, rendered(view, seen, self.ensemble.classes))
        return [mask, page]

    def _read(self, index: int) -> Seen:
        source = self.sources[index]
        try:
            image = self._reader(source.path)
            masks = self._truths.of(source)
            return Seen(source.name, image, read_truth(masks, image.shape[:2]) if masks else None)
        except OSError as error:
            return Seen(source.name, error=str(error))

    def _predict(self, image: np.ndarray, view: View) -> Prediction | str:
        try:
            return self.ensemble.predict(image, view.inference)
        except UserError as error:  # a step of the preprocessing cannot take it
            return "; ".join(problem.message for problem in error.problems)
