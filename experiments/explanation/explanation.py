"""What networks looked at in one image, at the image's own size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from experiments.explanation.activation import ActivationMaps, Aim, Method
from experiments.explanation.attention import attention_maps
from experiments.prediction import Ensemble, Member, Prediction

THRESHOLD = 0.5
"""Above which a pixel counted as lesion in the scores of the records."""


@dataclass(frozen=True)
class Explanation:
    """All maps are float32 (H, W) in [0, 1], means over the networks that were asked.

    prediction: theirs. activation: of each aim that the chosen layers have a say in. attention: of each module, by its
    dotted name.
    """

    prediction: Prediction
    activation: Mapping[Aim, np.ndarray]
    attention: Mapping[str, np.ndarray]

    @property
    def mask(self) -> np.ndarray:
        """What is called lesion, boolean (H, W)."""
        return self.prediction.probability > THRESHOLD


class Explainer:
    """Explains what members of an ensemble say about images: the diagnosis that they make, and the mask.

    method, layers: of `ActivationMaps`, which raises UserError for a layer that the networks do not have.
    """

    def __init__(self, ensemble: Ensemble, method: Method = "gradcam", layers: Sequence[str] = ()) -> None:
        self.ensemble = ensemble
        self._maps = [
            ActivationMaps(member.network, method, layers, member.preparation.size) for member in ensemble.members
        ]
        self.layers = self._maps[0].layers

    @property
    def aims(self) -> tuple[Aim, ...]:
        """What can be explained."""
        return self._maps[0].aims

    def explain(self, image: np.ndarray, members: Sequence[int] | None = None) -> Explanation:
        """image: uint8, (H, W) or RGB (H, W, 3). members: numbers of those that are asked; None for all.

        Raises NotFiniteError for networks that have diverged, UserError for an image that a step of the preprocessing
        cannot take.
        """
        numbers = range(len(self.ensemble.members)) if members is None else members
        asked = tuple(self.ensemble.members[number] for number in numbers)
        prediction = Ensemble(asked, self.ensemble.classes, self.ensemble.device).predict(image)
        diagnosis = int(prediction.classes.argmax()) if prediction.classes.size else 0
        activation: dict[Aim, list[np.ndarray]] = {aim: [] for aim in self.aims}
        attention: dict[str, list[np.ndarray]] = {}
        for number, member in zip(numbers, asked, strict=True):
            tensor = self._input(member, image)
            for aim, found in activation.items():
                found.append(self._maps[number](tensor, aim, diagnosis))
            for name, map in attention_maps(member.network, tensor).items():
                attention.setdefault(name, []).append(map)
        size = image.shape[:2]
        return Explanation(
            prediction,
            {aim: _mean(maps, size) for aim, maps in activation.items()},
            {name: _mean(maps, size) for name, maps in attention.items()},
        )

    def _input(self, member: Member, image: np.ndarray) -> torch.Tensor:
        """float32 (1, 1 or 3, h, w) in [0, 1] at the network's size."""
        prepared = torch.from_numpy(member.preparation(image))
        channels_first = prepared[None] if prepared.ndim == 2 else prepared.permute(2, 0, 1)
        return channels_first[None].to(self.ensemble.device).float().div_(255)


def energy_inside(activation: np.ndarray, lesion: np.ndarray) -> float:
    """The share of a map's sum that lies inside a mask: the energy-based pointing game (Wang et al. 2020, arXiv
    1910.01279), with the lesion in the place of its box.

    activation: (H, W), not negative. lesion: boolean (H, W). NaN where the map is 0 everywhere or there is no lesion.
    What a map that knows nothing would have is the lesion's share of the image.
    """
    total = float(activation.sum(dtype=np.float64))
    if total <= 0 or not lesion.any():
        return float("nan")
    return float(activation[lesion].sum(dtype=np.float64)) / total


def _mean(maps: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    mean = np.stack(maps).mean(axis=0)
    return cv2.resize(mean, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
