"""Every metric of a network on the cases of a fold's part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from experiments.training.batches import Batches
from experiments.training.evaluation.answers import Answer, answers
from experiments.training.history.clock import PhaseClock
from models.network import Network
from utils.images.cache import ImageCache
from utils.metrics import case_scores, fold_scores, mean_scores

Options = Mapping[str, Mapping[str, Any]]
"""Metric -> its options."""

THRESHOLD = 0.5
"""The probability above which a pixel counts as lesion."""

_WAITING_EACH = 16
"""Answers that wait for each thread at most: they hold a map each."""


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
    """Case results in the cache's order, and the fold's metrics made of them.

    maps: position -> probabilities at the network's size, float32 (H, W), of the cases that were to be kept.
    """

    cases: tuple[CaseResult, ...]
    metrics: dict[str, float]
    maps: Mapping[int, np.ndarray] = field(default_factory=dict)


def evaluate(
    network: Network,
    batches: Batches,
    cache: ImageCache,
    *,
    native: bool,
    options: Options | None = None,
    keep: Collection[int] = (),
    clock: PhaseClock | None = None,
    scorers: int = 0,
) -> Evaluation:
    """Evaluates `network` on the cases of `batches`, in eval mode.

    With `native`, probability maps are resized (bilinear) to each image's own size and compared with
    the mask as it was drawn, in mm and instance by instance where the data knows them; otherwise with the mask at the
    network's size. options: of metrics, by name.
    keep: positions of the cases whose maps are wanted too. clock: is told what is waiting for data, and what is
    scoring on the host, or waiting for it. scorers: threads that score while the network works on the next cases, for
    where that is elsewhere, on a GPU; 0 to score in between. Raises NotFiniteError for a network that has diverged.
    """
    network.eval()
    clock = clock or PhaseClock()
    results, maps = [], {}
    with _scoring(partial(_scored, cache=cache, native=native, options=options), scorers) as scored:
        for batch in clock.waiting(batches.epoch()):
            for answer in answers(network, batch, cache):
                with clock.phase("metrics"):
                    results += scored(answer)
                if answer.position in keep:
                    maps[answer.position] = answer.map
        with clock.phase("metrics"):
            results += scored(None)
    with clock.phase("metrics"):
        results.sort(key=lambda result: result.position)
        return Evaluation(tuple(results), _of_all(results, cache), maps)


_Score = Callable[[Answer], CaseResult]


@contextmanager
def _scoring(score: _Score, threads: int) -> Iterator[Callable[[Answer | None], list[CaseResult]]]:
    """Takes an answer and gives the results that are due; of None all that are left.

    With threads an answer's own comes later; with so many answers waiting that nobody is idle, it waits for the first.
    """
    if not threads:
        yield lambda answer: [] if answer is None else [score(answer)]
        return
    waiting: deque[Future[CaseResult]] = deque()

    def scored(answer: Answer | None) -> list[CaseResult]:
        if answer is not None:
            waiting.append(pool.submit(score, answer))
        most = 0 if answer is None else _WAITING_EACH * threads
        return [waiting.popleft().result() for _ in range(len(waiting) - most)]

    with ThreadPoolExecutor(threads, thread_name_prefix="scores") as pool:
        yield scored


def _of_all(results: Sequence[CaseResult], cache: ImageCache) -> dict[str, float]:
    """The metrics of the fold."""
    metrics = mean_scores([result.scores for result in results])
    if results and results[0].probabilities.size:
        labels = cache.labels[[result.position for result in results]]
        probabilities = np.stack([result.probabilities for result in results])
        metrics |= fold_scores(labels, probabilities, cache.classes)
    return metrics


def _scored(answer: Answer, cache: ImageCache, native: bool, options: Options | None) -> CaseResult:
    position = answer.position
    if native:
        drawn, reference = answer.at(cache.native_size(position)), cache.native_mask(position).astype(bool)
        spacing, instances = cache.spacings[position], cache.native_instances(position)
        scores = case_scores(drawn > THRESHOLD, reference, spacing=spacing, instances=instances, options=options)
    else:
        # At the network's size pixels are of no known size, and instances that touch have grown together.
        scores = case_scores(answer.map > THRESHOLD, cache.masks[position].astype(bool), options=options)
    return CaseResult(position, scores, answer.classes)
