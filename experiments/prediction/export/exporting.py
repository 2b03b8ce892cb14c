"""Writes an ensemble as ONNX or TorchScript, and compares its answers with PyTorch's before the file gets its name."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from experiments.prediction.ensemble import Ensemble
from experiments.prediction.export.formats import onnx_answers, save_onnx, save_torchscript, torchscript_answers
from experiments.prediction.export.module import EnsembleModule
from experiments.prediction.preparation import Preparation
from experiments.prediction.selection import SelectedRun, Selection
from utils.datasets.opening import open_dataset
from utils.errors import Problem, UserError
from utils.identity import canonical_json

Format = Literal["onnx", "torchscript"]
TOLERANCE = 1e-4
"""How far a probability of the exported file may lie from PyTorch's."""

_SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torchscript": ".pt"}
_IMAGES = 3


def export_ensemble(
    ensemble: Ensemble, selection: Selection, format: Format, folder: Path, images: Sequence[np.ndarray] = ()
) -> Path:
    """Writes ``<sweep>.onnx`` or ``<sweep>.pt`` into `folder` and returns its path.

    images: what the file is verified on, uint8 (height, width) or RGB, as they were read; without any, the first
    images of the data that the sweep was trained on. The batch may be of any size, the images are of the network's.
    Raises UserError where the members see different images, a library is missing, a part of the network cannot be
    exported, or the answers differ by more than `TOLERANCE`; then no file is written.
    """
    preparation = _only_preparation(ensemble)
    # Copies: the ensemble stays on its device.
    module = EnsembleModule([copy.deepcopy(member.network).cpu() for member in ensemble.members]).eval()
    batch = as_input([preparation(image) for image in images or _images_of(selection.runs[0])])
    path = folder / f"{selection.sweep}{_SUFFIXES[format]}"
    folder.mkdir(parents=True, exist_ok=True)
    metadata = canonical_json(described(ensemble, selection, preparation))
    save: Callable[..., None] = save_onnx if format == "onnx" else save_torchscript
    answers = onnx_answers if format == "onnx" else torchscript_answers
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as place:
        temporary = Path(place) / path.name
        # Two images: an export that has seen a single one may take their number for a constant.
        save(module, batch[[0, -1]], temporary, metadata)
        _verify(module, answers(temporary), batch)
        temporary.replace(path)
    return path


def as_input(images: Sequence[np.ndarray]) -> torch.Tensor:
    """Prepared images, uint8 (h, w) or (h, w, 3), as the exported file takes them: float32 (B, 3, h, w) in [0, 1]."""
    colours = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    return torch.from_numpy(np.stack(colours)).permute(0, 3, 1, 2).float().div(255).contiguous()


def described(ensemble: Ensemble, selection: Selection, preparation: Preparation) -> dict[str, Any]:
    """What stands in the file: how images must be made ready, and what the answers mean."""
    height, width = preparation.size
    return {
        "format": 1,
        "sweep": selection.sweep,
        "members": [{"run": member.name, "checkpoint_sha256": member.identity} for member in ensemble.members],
        "combination": "logits averaged",
        "input": {
            "name": "images",
            "shape": ["batch", 3, height, width],
            "type": "float32",
            "range": [0, 1],
            "channels": "RGB; of a grey image three times the same",
            "preparation": preparation.described(),
            "order": "preprocessing of the uint8 image at its own size, resizing, division by 255",
            "normalisation": "none: the networks normalise",
        },
        "outputs": [
            {
                "name": "probability",
                "shape": ["batch", 1, height, width],
                "meaning": "probability of lesion; resize it to the image's own size (linear), then lesion is > 0.5",
            },
            *([{"name": "classes", "shape": ["batch", len(ensemble.classes)]}] if ensemble.classes else []),
        ],
        "classes": list(ensemble.classes),
        "versions": {"torch": torch.__version__},
    }


def _only_preparation(ensemble: Ensemble) -> Preparation:
    found = {member.preparation for member in ensemble.members}
    if len(found) > 1:
        message = "the networks see differently prepared images, which one file cannot take: export fewer of them"
        raise UserError(Problem("--export", message))
    return next(iter(found))


def _images_of(run: SelectedRun) -> list[np.ndarray]:
    """A few images of the data that a run was trained on."""
    dataset = run.settings.dataset
    try:
        source = open_dataset(dataset.name, dataset.root, dict(dataset.options))
        return [source.read_image(case) for case in source.cases()[:_IMAGES]]
    except (UserError, OSError) as error:
        message = f"the sweep's data are not at hand to verify the file on ({error}); name some images with --image"
        raise UserError(Problem("--export", message)) from None


def _verify(module: EnsembleModule, answers: Callable[[np.ndarray], list[np.ndarray]], batch: torch.Tensor) -> None:
    """Raises UserError unless the file answers as the module does, to a batch and to a single image."""
    for images in (batch, batch[:1]):
        with torch.inference_mode():
            expected = [each.numpy() for each in module(images)]
        found = answers(images.numpy())
        worst = max(float(np.abs(one - other).max()) for one, other in zip(expected, found, strict=True))
        if not worst <= TOLERANCE:  # NaN is not within it either
            message = f"the exported file differs from PyTorch by {worst:.2g}, more than {TOLERANCE:g}; not written"
            raise UserError(Problem("--export", message))
