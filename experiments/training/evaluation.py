"""Scores of a network on cases: at its own resolution while it steers, at the image's own when it counts."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from experiments.training.batches import Batch, Batches
from models.network import Network, foreground_of
from utils.images.cache import ImageCache
from utils.metrics import case_scores, fold_scores, mean_over_cases, metric_names


class NotFiniteError(ArithmeticError):
    """A network answered NaN or infinity: its weights have diverged, and its scores would mean nothing."""


@dataclass(frozen=True)
class CaseResult:
    """What a network said about one case.

    scores: per-case metrics, NaN where undefined. probabilities: (classes,), empty without a
    classification head.
    """

    position: int
    scores: dict[str, float]
    probabilities: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Case results in the cache's order, and the fold's metrics made of them."""

    cases: tuple[CaseResult, ...]
    metrics: dict[str, float]


@torch.no_grad()
def evaluate(network: Network, batches: Batches, cache: ImageCache, *, native: bool) -> Evaluation:
    """Evaluates `network` on the cases of `batches`, in eval mode.

    With `native`, probability maps are resized (bilinear) to each image's own size and compared with
    the mask as it was drawn; otherwise with the mask at the network's size. Raises NotFiniteError for a
    network that has diverged; thresholded, its NaN would pass for an empty mask.
    """
    network.eval()
    results = [result for batch in batches.epoch() for result in _score(network, batch, cache, native)]
    results.sort(key=lambda result: result.position)
    metrics = {name: mean_over_cases(result.scores[name] for result in results) for name in metric_names("case")}
    if results and results[0].probabilities.size:
        labels = cache.labels[[result.position for result in results]]
        probabilities = np.stack([result.probabilities for result in results])
        metrics |= fold_scores(labels, probabilities, cache.classes)
    return Evaluation(tuple(results), metrics)


def _score(network: Network, batch: Batch, cache: ImageCache, native: bool) -> Iterable[CaseResult]:
    output = network(batch.images)
    maps = foreground_of(output.masks.float()).sigmoid()[:, 0].cpu().numpy()
    labels = None if output.labels is None else output.labels.float().softmax(dim=1).cpu().numpy()
    for row, position in enumerate(batch.cases.tolist()):
        if not np.isfinite(maps[row]).all() or (labels is not None and not np.isfinite(labels[row]).all()):
            raise NotFiniteError(f"the network's answer to {cache.ids[position]!r} is not finite")
        if native:
            height, width = cache.native_size(position)
            prediction = cv2.resize(maps[row], (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
            reference = cache.native_mask(position).astype(bool)
        else:
            prediction, reference = maps[row] > 0.5, batch.masks[row, 0].cpu().numpy() > 0.5
        probabilities = np.empty(0) if labels is None else labels[row].astype(np.float64)
        yield CaseResult(position, case_scores(prediction, reference), probabilities)


def cases_csv(evaluation: Evaluation, cache: ImageCache, groups: Mapping[str, str]) -> str:
    """``cases.csv`` of a run: case, group, label, predicted label, class probabilities, metrics; NaN is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with_labels = bool(evaluation.cases) and evaluation.cases[0].probabilities.size > 0
    metrics = list(evaluation.cases[0].scores) if evaluation.cases else []
    probabilities = [f"probability_{name}" for name in cache.classes] if with_labels else []
    writer.writerow(["case", "group", "label", "predicted", *probabilities, *metrics])
    for result in evaluation.cases:
        position = result.position
        predicted = cache.classes[int(result.probabilities.argmax())] if with_labels else ""
        writer.writerow(
            [
                cache.ids[position],
                groups[cache.ids[position]],
                cache.classes[int(cache.labels[position])],
                predicted,
                *(f"{value:.9g}" for value in result.probabilities),
                *(number(result.scores[name]) for name in metrics),
            ]
        )
    return text.getvalue()


def number(value: float) -> str:
    """A number for a CSV: nine significant digits, empty for NaN."""
    return "" if math.isnan(value) else f"{value:.9g}"


@torch.no_grad()
def inference_milliseconds(network: Network, batches: Batches, device: torch.device, repeats: int = 10) -> float:
    """Median milliseconds of a forward pass of one image, in eval mode, after two passes to warm up."""
    network.eval()
    image = next(batches.epoch()).images[:1]
    seconds = []
    for _ in range(repeats + 2):
        _synchronize(device)
        start = time.perf_counter()
        network(image)
        _synchronize(device)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[2:]) * 1000)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
