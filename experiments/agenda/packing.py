"""What each run occupies: on GPUs, no more than its memory needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from experiments.claims import claims
from experiments.estimates import MOST_SHARING, share_of
from experiments.preflight.slot import Claim
from experiments.scheduling import Run
from experiments.sweep import Resources


class Packing:
    """The claims of a sweep's runs on so many cores and GPUs.

    gpu_memory: bytes of the smallest GPU, 0 where nobody knows. peak: bytes of a configuration's tensors on the GPU,
    None where nobody knows. cramped: whether a run has been out of memory: from then on it shares its GPU with none.

    With other `resources.gpus` than `auto` all runs occupy the same. Raises UserError as `claims` does.
    """

    def __init__(
        self,
        resources: Resources,
        cores: float,
        gpus: float,
        gpu_memory: int,
        peak: Callable[[str], int | None],
        cramped: Callable[[Run], bool],
    ) -> None:
        self._resources, self._cores, self._gpus, self._gpu_memory = resources, cores, gpus, gpu_memory
        self._peak, self._cramped = peak, cramped
        self.whole = claims(resources, cores, gpus)
        """The claim of a run that shares with none."""
        # Shares that are left over because of `slots` would be nobody's.
        slots = MOST_SHARING * gpus if resources.slots == "auto" else resources.slots
        self._most = min(MOST_SHARING, math.ceil(slots / gpus)) if gpus else 1
        self.packs = resources.gpus == "auto" and self.whole.gpus > 0 and gpu_memory > 0 and self._most > 1
        self.least = self._claim(1 / self._most) if self.packs else self.whole
        """The least that a run can occupy."""

    def of(self, run: Run) -> Claim:
        """What a run occupies if it begins now."""
        if not self.packs or self._cramped(run):
            return self.whole
        return self._claim(self._share(run.configuration))

    def typical(self, configurations: Collection[str]) -> Claim:
        """What their runs occupy on average, to count slots by."""
        if not self.packs or not configurations:
            return self.whole
        return self._claim(sum(map(self._share, configurations)) / len(configurations))

    def _share(self, configuration: str) -> float:
        return share_of(self._peak(configuration), self._gpu_memory, self._most)

    def _claim(self, share: float) -> Claim:
        return claims(self._resources, self._cores, self._gpus, share)
