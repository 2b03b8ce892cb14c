"""Several trained networks that answer as one, and what they say about an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch

from experiments.prediction.preparation import Preparation
from experiments.training.evaluation import NotFiniteError
from models.network import Network, foreground_of
from utils.identity import digest

CLIP_LIMITS = (1.0, 2.0, 4.0)
"""Those that an adaptive CLAHE tries, beside that of training."""


@dataclass(frozen=True)
class Inference:
    """How the networks are asked; the defaults are as in training's own evaluation.

    sizes: pixels of the longer side, one or several; none is that of training. flips: whether they also see each
    image mirrored in its rows, its columns and both. clip_limit: of CLAHE, 0 for none; None as in training,
    ``adaptive`` chosen image by image: see `Ensemble.predict_all`. amp: bf16 is faster on processors that have it, and
    its answers differ in the third digit.
    """

    sizes: tuple[int, ...] = ()
    flips: bool = False
    clip_limit: float | Literal["adaptive"] | None = None
    amp: Literal["none", "bf16"] = "none"


@dataclass(frozen=True)
class Member:
    """A network of the ensemble. name: its run, for people. identity: the hash of its sealed checkpoint."""

    name: str
    identity: str
    network: Network
    preparation: Preparation


@dataclass(frozen=True)
class Prediction:
    """What an ensemble says about one image.

    probability: of lesion, float32 (H, W) in [0, 1], at the image's own size. disagreement: standard deviation of the
    members' own probabilities, float32 (H, W) in [0, 0.5]; all 0 where there is one member. classes: probabilities
    (C,), float64, in the order of the ensemble's classes; empty without classification heads. clip_limit: of the
    first member's CLAHE, 0 where it had none.
    """

    probability: np.ndarray
    disagreement: np.ndarray
    classes: np.ndarray
    clip_limit: float


class _Pass(NamedTuple):
    """What the members of one input size say about one image, at that size.

    maps: float32 (h, w, 3), the probability of their averaged logits, and the mean and the mean square of their own
    probabilities; of a single member the first alone, (h, w, 1). members: how many.
    """

    maps: np.ndarray
    members: int


class _Asked(NamedTuple):
    """All passes of one image, and the class probabilities of each, (passes, C)."""

    passes: tuple[_Pass, ...]
    classes: np.ndarray
    clip_limit: float


@dataclass(frozen=True)
class Ensemble:
    """Trained networks that answer as one: logits are averaged over all that see the image at the same size.

    Several sizes, whether asked for or those of the members' training, are averaged as probabilities at the image's
    own resolution. classes: names of the diagnoses, the same for all members; empty without classification heads.
    Safe to be asked by several threads at once.
    """

    members: tuple[Member, ...]
    classes: tuple[str, ...]
    device: torch.device

    @cached_property
    def identity(self) -> str:
        """A hash of all that the answers hang on, but how they are asked for."""
        told = [[member.identity, member.preparation.steps, list(member.preparation.size)] for member in self.members]
        return digest([told, list(self.classes)])

    def predict(self, image: np.ndarray, inference: Inference = Inference()) -> Prediction:
        """image: uint8, (H, W) or RGB (H, W, 3). Raises NotFiniteError for networks that have diverged."""
        return next(self.predict_all([image], inference))

    def predict_all(self, images: Sequence[np.ndarray], inference: Inference) -> Iterator[Prediction]:
        """The predictions of a batch, in its order; maps at the images' own sizes are made one by one.

        An adaptive clip limit is the one at which the networks are most confident, training's own and `CLIP_LIMITS`
        being tried: the mean of |2p - 1| over the pixels that any of them calls lesion. Where none does, or where
        several are equal, the first of them stays.
        """
        if inference.clip_limit == "adaptive":
            tried = [self._ask(images, inference, limit) for limit in (None, *CLIP_LIMITS)]
            asked = [_most_confident(candidates) for candidates in zip(*tried, strict=True)]
        else:
            asked = self._ask(images, inference, inference.clip_limit)
        for image, answer in zip(images, asked, strict=True):
            yield _at_native_size(answer, image.shape[:2])

    @torch.inference_mode()
    def _ask(self, images: Sequence[np.ndarray], inference: Inference, clip_limit: float | None) -> list[_Asked]:
        """Everything at the networks' sizes, image by image."""
        passes: list[list[_Pass]] = [[] for _ in images]
        classes: list[list[np.ndarray]] = [[] for _ in images]
        for members in self._by_size(inference, clip_limit).values():
            inputs: dict[Preparation, torch.Tensor] = {}
            for _, preparation in members:
                if preparation not in inputs:
                    inputs[preparation] = self._batch([preparation(image) for image in images])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=inference.amp == "bf16"):
                answers = [_answer(one.network, inputs[preparation], inference.flips) for one, preparation in members]
            maps, diagnoses = _combined(answers)
            for row in range(len(images)):
                passes[row].append(_Pass(maps[row], len(members)))
                classes[row].append(diagnoses[row])
        first = self.members[0].preparation
        limit = first.clip_limit if clip_limit is None else clip_limit
        return [_Asked(tuple(found), np.array(said), limit) for found, said in zip(passes, classes, strict=True)]

    def _by_size(
        self, inference: Inference, clip_limit: float | None
    ) -> dict[tuple[int, int], list[tuple[Member, Preparation]]]:
        """Size of the input -> the members that are asked at it, each with what is done to its images."""
        found: dict[tuple[int, int], list[tuple[Member, Preparation]]] = defaultdict(list)
        for member in self.members:
            own = member.preparation if clip_limit is None else member.preparation.with_clip_limit(clip_limit)
            for preparation in [own.with_side(side) for side in inference.sizes] or [own]:
                found[preparation.size].append((member, preparation))
        return found

    def _batch(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """uint8 images of one size as float32 (B, 1 or 3, h, w) in [0, 1]; grey ones become RGB beside others."""
        if len({image.ndim for image in images}) > 1:
            images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
        stacked = torch.from_numpy(np.stack(images))
        stacked = stacked.unsqueeze(1) if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)
        return stacked.to(self.device).float().div_(255).contiguous(memory_format=torch.channels_last)


class _Answer(NamedTuple):
    """Logits of one member: foreground (B, 1, h, w), and labels (B, C) or None."""

    foreground: torch.Tensor
    labels: torch.Tensor | None


def _answer(network: Network, images: torch.Tensor, flips: bool) -> _Answer:
    """A member's logits, averaged over the mirrored images where these are asked for."""
    foreground, labels = [], []
    for dimensions in ((), (2,), (3,), (2, 3)) if flips else ((),):
        output = network(images.flip(dimensions) if dimensions else images)
        found = foreground_of(output.masks.float())
        foreground.append(found.flip(dimensions) if dimensions else found)
        if output.labels is not None:
            labels.append(output.labels.float())
    return _Answer(torch.stack(foreground).mean(dim=0), torch.stack(labels).mean(dim=0) if labels else None)


def _combined(answers: Sequence[_Answer]) -> tuple[np.ndarray, np.ndarray]:
    """Maps (B, h, w, 1 or 3) as in `_Pass`, and class probabilities (B, C), of members of one size."""
    logits = torch.stack([answer.foreground[:, 0] for answer in answers])
    channels = [logits.mean(dim=0).sigmoid()]
    if len(answers) > 1:
        own = logits.sigmoid()
        channels += [own.mean(dim=0), own.square().mean(dim=0)]
    maps = torch.stack(channels, dim=-1).cpu().numpy()
    labels = [answer.labels for answer in answers if answer.labels is not None]
    said = torch.stack(labels).mean(dim=0).softmax(dim=1).cpu().numpy() if labels else np.empty((len(maps), 0))
    # Thresholded, NaN would pass for an empty mask.
    if not np.isfinite(maps).all() or not np.isfinite(said).all():
        raise NotFiniteError("the answer of a network is not finite: its weights have diverged")
    return maps, said.astype(np.float64)


def _most_confident(candidates: Sequence[_Asked]) -> _Asked:
    maps = np.stack([candidate.passes[0].maps[..., 0] for candidate in candidates])
    lesion = (maps > 0.5).any(axis=0)
    if not lesion.any():
        return candidates[0]
    confidence = np.abs(2 * maps[:, lesion] - 1).mean(axis=1)
    return candidates[int(confidence.argmax())]


def _at_native_size(asked: _Asked, size: tuple[int, int]) -> Prediction:
    """Averages the passes, weighted by their members, at the image's own (height, width)."""
    height, width = size
    members = sum(each.members for each in asked.passes)
    several = members > 1
    total = np.zeros((height, width, 3 if several else 1), np.float32)
    for each in asked.passes:
        maps = each.maps
        if several and maps.shape[2] == 1:  # a single member of this size: its own probability is the pass's
            maps = np.concatenate([maps, maps, np.square(maps)], axis=2)
        enlarged = cv2.resize(maps, (width, height), interpolation=cv2.INTER_LINEAR)
        total += enlarged.reshape(total.shape) * np.float32(each.members / members)
    if several:
        spread = np.sqrt(np.maximum(total[..., 2] - np.square(total[..., 1]), 0))
    else:
        spread = np.zeros((height, width), np.float32)
    weights = [each.members / members for each in asked.passes]
    classes = np.average(asked.classes, axis=0, weights=weights) if asked.classes.size else np.empty(0)
    return Prediction(np.ascontiguousarray(total[..., 0]), spread, classes, asked.clip_limit)
