"""A second stage at work on whole images: a first one finds the crop, and what is drawn in it is put back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from experiments.prediction.ensemble import Ensemble, Inference, Prediction
from experiments.prediction.selection import Selection, open_ensemble, select_runs
from experiments.prediction.threshold import DEFAULT
from experiments.sweep import Settings
from experiments.sweep.file.predictions import folder_of_predictions
from utils.datasets.crops import Crops
from utils.datasets.opening import open_dataset
from utils.errors import Problem, UserError
from utils.identity import digest

CROPS = "crops"


@dataclass(frozen=True)
class CascadedEnsemble(Ensemble):
    """An ensemble that sees of every image the crop around what another has found in it.

    first: finds it, itself cascaded or not. cut: how the crop lies around it, as in training. Outside of the crop
    nothing is lesion, and nobody disagrees.
    """

    first: Ensemble
    cut: Crops

    @cached_property
    def identity(self) -> str:
        """A hash of all that the answers hang on, but how they are asked for."""
        own = Ensemble(self.members, self.classes, self.device).identity
        return digest([own, self.first.identity, self.cut.around, self.cut.margin, self.cut.least])

    def predict_all(self, images: Sequence[np.ndarray], inference: Inference) -> Iterator[Prediction]:
        """The predictions of a batch, at the images' own sizes. The first stage is asked as it was for training."""
        found = self.first.predict_all(images, Inference(amp=inference.amp))
        boxes = [self.cut.box_around(each.probability > DEFAULT) for each in found]
        crops = [box.cut(image) for box, image in zip(boxes, images, strict=True)]
        for image, box, said in zip(images, boxes, super().predict_all(crops, inference), strict=True):
            probability, disagreement = np.zeros((2, *image.shape[:2]), np.float32)
            probability[box.top : box.bottom, box.left : box.right] = said.probability
            disagreement[box.top : box.bottom, box.left : box.right] = said.disagreement
            yield replace(said, probability=probability, disagreement=disagreement)


def open_for_images(selection: Selection, device: torch.device, results: Path) -> Ensemble:
    """The networks of a selection for images as they come from a scanner, the stages before them included.

    results: the folder in which the sweeps are. Raises UserError as `open_ensemble` does, and where the networks that
    found the crops of training are no longer there, or the selected ones were trained on different crops.
    """
    ensemble = open_ensemble(selection, device)
    settings = {run.record.configuration: run.settings for run in selection.runs}
    if all(one.dataset.name != CROPS for one in settings.values()):
        return ensemble
    if len({_cut_of(one) for one in settings.values()}) > 1:
        message = "these configurations were not trained on the same crops; name one of them with --run"
        raise UserError(Problem("--top", message, choices=tuple(settings)))
    one = next(iter(settings.values()))
    cut = open_dataset(CROPS, one.dataset.root, dict(one.dataset.options))
    assert isinstance(cut, Crops), "the registry knows one class of that name"
    first = open_for_images(first_stage_of(selection, results), device, results)
    return CascadedEnsemble(ensemble.members, ensemble.classes, device, first, cut)


def first_stage_of(selection: Selection, results: Path) -> Selection:
    """The runs whose out-of-fold predictions a second stage was trained on. Raises UserError without them."""
    root = selection.runs[0].settings.dataset.root
    assert root is not None, "crops have a folder"
    sweep = root.parent.name
    for folder in sorted((results / "runs" / sweep).glob("*/")):
        try:
            made = folder_of_predictions(results, sweep, folder.name)
        except UserError:
            continue  # damaged, or never finished: not the one that has predicted
        if made.name == root.name:
            return select_runs(results, sweep, folder.name)
    message = f"its first stage, {sweep}, has changed or is gone: the networks that found the crops of training"
    raise UserError(Problem("--sweep", f"{message} are not in {results}; run both stages again", value=selection.sweep))


def notes_on(ensemble: Ensemble) -> list[str]:
    """What a reader must know of a cascade: who finds the crops."""
    if not isinstance(ensemble, CascadedEnsemble):
        return []
    count = len(ensemble.first.members)
    return [
        *notes_on(ensemble.first),
        f"they see the crop around what {count} networks of the first stage find, and the whole image where that is "
        "nothing; an exported file is of the second stage alone",
    ]


def uncut(selection: Selection, results: Path) -> Settings:
    """The settings that say how whole images are read: those of the stage that sees them."""
    settings = selection.runs[0].settings
    return uncut(first_stage_of(selection, results), results) if settings.dataset.name == CROPS else settings


def _cut_of(settings: Settings) -> str:
    dataset = settings.dataset
    return digest([dataset.name, str(dataset.root), dataset.model_dump(mode="json")["options"]])
