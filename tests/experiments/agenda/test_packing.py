"""What each run occupies, by the memory that it needs."""

from __future__ import annotations

import pytest

from experiments.agenda import Packing
from experiments.preflight.slot import Claim
from experiments.scheduling import Run
from experiments.sweep import Resources

GIB = 2**30
PEAKS = {"tiny": GIB, "middle": 30 * GIB, "huge": 100 * GIB, "unknown": None}


def packing(resources: Resources | None = None, gpus: float = 2, memory: int = 80 * GIB) -> Packing:
    return Packing(resources or Resources(), 16, gpus, memory, PEAKS.__getitem__, lambda run: run.fold == 9)


def test_runs_share_a_gpu_and_its_cores_as_their_memory_allows() -> None:
    packed = packing()
    assert [packed.of(Run(name, 0)) for name in PEAKS] == [Claim(2, 0.25), Claim(4, 0.5), Claim(8, 1.0), Claim(8, 1.0)]
    assert packed.least == Claim(2, 0.25)
    assert packed.typical(["tiny", "huge"]) == Claim(5, 0.625)


def test_who_has_been_out_of_memory_shares_no_more() -> None:
    assert packing().of(Run("tiny", 9)) == Claim(8, 1.0)


@pytest.mark.parametrize(
    ("resources", "gpus", "memory", "claim"),
    [
        (Resources(gpus=0.5), 2, 80 * GIB, Claim(4, 0.5)),
        (Resources(), 0, 0, Claim(1, 0.0)),
        (Resources(), 2, 0, Claim(8, 1.0)),
        (Resources(slots=2), 2, 80 * GIB, Claim(8, 1.0)),
        (Resources(slots=3), 2, 80 * GIB, Claim(4, 0.5)),
        (Resources(cpus=3), 2, 80 * GIB, Claim(3, 0.25)),
    ],
    ids=["said", "no GPU", "memory unknown", "a slot for each GPU", "three slots", "threads said"],
)
def test_only_auto_packs_and_not_beyond_the_slots(resources: Resources, gpus: float, memory: int, claim: Claim) -> None:
    packed = packing(resources, gpus, memory)
    assert packed.of(Run("tiny", 0)) == packed.least == packed.typical(["tiny"]) == claim
