"""What one run occupies and what it has to itself."""

from __future__ import annotations

import pytest

from experiments.claims import Capacity, capacity_here, claims, slot_of
from experiments.preflight import Slot
from experiments.sweep import Resources
from utils.errors import UserError

LAPTOP = Capacity(cores=4, gpus=0, machines=1, host_memory=16, gpu_memory=0)
SERVER = Capacity(cores=32, gpus=4, machines=1, host_memory=256, gpu_memory=80)
CLUSTER = Capacity(cores=12, gpus=0, machines=3, host_memory=16, gpu_memory=0)


@pytest.mark.parametrize(
    ("capacity", "resources", "expected"),
    [
        (LAPTOP, Resources(), Slot("cpu", 4, at_once=4)),
        (LAPTOP, Resources(cpus=2), Slot("cpu", 8, at_once=2)),
        (LAPTOP, Resources(slots=1), Slot("cpu", 16, at_once=1)),
        (SERVER, Resources(), Slot("cuda", 80, at_once=4)),
        (SERVER, Resources(gpus=0.25), Slot("cuda", 20, at_once=16)),
        (SERVER, Resources(gpus=2), Slot("cuda", 80, at_once=2)),
        (SERVER, Resources(gpus=0, cpus=8), Slot("cpu", 64, at_once=4)),
        (CLUSTER, Resources(), Slot("cpu", 4, at_once=12)),
        (CLUSTER, Resources(slots=3), Slot("cpu", 16, at_once=3)),
    ],
)
def test_a_run_has_its_share(capacity: Capacity, resources: Resources, expected: Slot) -> None:
    assert slot_of(resources, capacity) == expected


def test_more_than_there_is_gets_one_problem_each() -> None:
    with pytest.raises(UserError) as caught:
        slot_of(Resources(cpus=5, gpus=1), LAPTOP)
    assert [problem.where for problem in caught.value.problems] == ["resources.gpus", "resources.cpus"]
    assert "4 CPU cores" in caught.value.problems[1].message


def test_cores_are_shared_out_with_the_gpus() -> None:
    assert claims(Resources(), 32, 4) == (8, 1.0)
    assert claims(Resources(gpus=0.5), 32, 4) == (4, 0.5)


def test_a_share_of_a_gpu_comes_with_that_share_of_the_cores_where_gpus_are_auto() -> None:
    assert claims(Resources(), 32, 4, share=0.25) == (2, 0.25)
    assert claims(Resources(), 2, 1, share=0.25) == (1, 0.25)
    assert claims(Resources(cpus=3), 32, 4, share=1 / 3) == (3, 1 / 3)
    assert claims(Resources(gpus=1), 32, 4, share=0.25) == (8, 1.0)
    assert claims(Resources(), 4, 0, share=0.25) == (1, 0.0)


def test_this_machine_has_something() -> None:
    here = capacity_here()
    assert here.cores >= 1 and here.machines == 1 and (here.gpu_memory > 0) == (here.gpus > 0)
    assert slot_of(Resources(), here).at_once >= 1
