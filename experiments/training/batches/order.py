"""Which cases an epoch consists of, and in which order: a pure function of (run, epoch)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from torch.utils.data import Sampler

from utils.identity import derive_seed

Draw = tuple[int, int]
"""A place among the cases of a part, and how often the epoch has drawn it before."""

Kind = Literal["given", "shuffled", "balanced"]


class Order(Sampler[list[Draw]]):
    """The draws of an epoch, batch by batch; `epoch` is set before it is gone through.

    kind: ``given``, every case once in this order; ``shuffled``, every case once; ``balanced``, `balanced_draws`.
    labels: of the cases. seed: of the run. Of an order that is not the given one, a last batch of a single case is
    left out unless it is the only one: batch normalisation cannot train on a single value per channel, which is what
    it becomes where features are pooled to 1 x 1.
    """

    def __init__(self, kind: Kind, labels: Sequence[int], seed: int, batch_size: int) -> None:
        self.kind, self.labels, self.seed, self.batch_size = kind, labels, seed, batch_size
        self.epoch = 0
        single = kind != "given" and len(labels) % batch_size == 1 and len(labels) > 1
        self._drawn = len(labels) - single

    def __len__(self) -> int:
        return math.ceil(self._drawn / self.batch_size)

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = self._draws()
        return (draws[first : first + self.batch_size] for first in range(0, self._drawn, self.batch_size))

    def _draws(self) -> list[Draw]:
        seed, count = derive_seed(self.seed, "order", self.epoch), len(self.labels)
        if self.kind == "balanced":
            return balanced_draws(self.labels, seed)
        places = range(count) if self.kind == "given" else np.random.default_rng(seed).permutation(count).tolist()
        return [(place, 0) for place in places]


def balanced_draws(labels: Sequence[int], seed: int) -> list[Draw]:
    """As many draws as there are labels, with replacement: every class that occurs equally likely, then its cases.

    Each is (place in `labels`, how often it was drawn before). Raises ValueError where there are no labels.
    """
    members = [np.flatnonzero(np.equal(labels, label)) for label in np.unique(labels)]
    if not members:
        raise ValueError("nothing to draw from")
    random = np.random.default_rng(seed)
    classes = random.integers(len(members), size=len(labels))
    places = random.integers(np.array([len(cases) for cases in members])[classes])
    before = [0] * len(labels)
    draws = []
    for chosen, place in zip(classes.tolist(), places.tolist(), strict=True):
        case = int(members[chosen][place])
        draws.append((case, before[case]))
        before[case] += 1
    return draws
