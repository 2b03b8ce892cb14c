"""What one run occupies, and what it has to itself, on what there is to run on."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from experiments.preflight.node import NodeReport
from experiments.preflight.slot import Claim, Slot, gpu_memory, host_memory
from experiments.sweep.schema.search import Resources
from utils.errors import Problem, UserError


@dataclass(frozen=True)
class Capacity:
    """What there is to run on.

    cores, gpus: in all. machines: how many they are in. host_memory, gpu_memory: bytes of the machine and of the GPU
    that have the least, 0 where nobody knows.
    """

    cores: float
    gpus: float
    machines: int
    host_memory: int
    gpu_memory: int


def capacity_here() -> Capacity:
    """Of this machine."""
    return Capacity(os.cpu_count() or 1, torch.cuda.device_count(), 1, host_memory(), gpu_memory())


def capacity_of(cores: float, gpus: float, reports: Sequence[NodeReport]) -> Capacity:
    """Of a cluster whose machines have reported."""
    memory = min((report.host_memory for report in reports), default=0)
    gpu = min((report.gpu_memory for report in reports if report.gpu_memory), default=0)
    return Capacity(cores, gpus, max(1, len(reports)), memory, gpu)


def claims(resources: Resources, cores: float, gpus: float, share: float = 1.0) -> Claim:
    """CPU cores and GPUs that one run occupies. Raises UserError for more than the cluster has.

    share: of a GPU that the run needs, of which `gpus: auto` gives it no more; it has as large a share of the cores.

    On CPUs a core each, whatever else runs: networks of this size gain less from a second thread than from a second
    run, and sums over more threads differ in their last bits. So the last runs of a sweep are not given the cores that
    have become free: their results would depend on what ran beside them. On a GPU they would change nothing, but Ray
    gives an actor what it was started with.
    """
    claimed_gpus = min(share, gpus) if resources.gpus == "auto" else float(resources.gpus)
    problems = []
    if claimed_gpus > gpus:
        problems.append(Problem("resources.gpus", f"the cluster has {gpus:g} GPUs", value=resources.gpus))
    fitting = max(1, int(cores * claimed_gpus / gpus)) if claimed_gpus and gpus else 1
    cpus = fitting if resources.cpus == "auto" else resources.cpus
    if cpus > cores:
        problems.append(Problem("resources.cpus", f"the cluster has {cores:g} CPU cores", value=resources.cpus))
    if problems:
        raise UserError(problems)
    return Claim(cpus, claimed_gpus)


def slot_of(resources: Resources, capacity: Capacity) -> Slot:
    """What one run has. Raises UserError as `claims` does."""
    cpus, gpus = claims(resources, capacity.cores, capacity.gpus)
    fitting = max(1, int(min(capacity.cores / cpus, capacity.gpus / gpus if gpus else math.inf)))
    at_once = fitting if resources.slots == "auto" else min(resources.slots, fitting)
    if gpus:
        return Slot("cuda", int(capacity.gpu_memory * min(gpus, 1.0)), at_once)
    return Slot("cpu", capacity.host_memory // math.ceil(at_once / capacity.machines), at_once)
