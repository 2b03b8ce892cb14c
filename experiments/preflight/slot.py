"""What one run has to itself: a share of a GPU's memory, or of the machine's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

WORKER_BYTES = 800 * 2**20
"""A worker's process before it has a network: Python, torch, Ray and the libraries of images. On a GPU about as much
goes to the CUDA context and to what the allocator cannot use."""

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Claim(NamedTuple):
    """What one run occupies: CPU cores, which are also its threads, and GPUs or the share of one."""

    cpus: int
    gpus: float


@dataclass(frozen=True)
class Slot:
    """Where a run is executed.

    device: ``cpu``, ``cuda`` or ``mps``. memory: bytes that it has, 0 where nobody knows. at_once: how many runs there
    are at the same time, on all machines.
    """

    device: str
    memory: int
    at_once: int = 1

    def lacks(self, peak: int) -> int:
        """How many bytes too few it has for a training step with this peak, beside the worker itself; 0: it fits."""
        return max(0, peak + WORKER_BYTES - self.memory) if self.memory else 0


def slot_here(device: str, share: float, at_once: int = 1) -> Slot:
    """The slot of a run that gets this share, over 0 to 1, of a GPU of this machine (cuda) or of its memory."""
    whole = gpu_memory() if device == "cuda" else host_memory()
    return Slot(device, int(whole * min(share, 1.0)), at_once)


def host_memory() -> int:
    """Bytes that this machine, or the container that we are in, has; 0 if the system does not tell."""
    try:
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
    for path in map(Path, _CGROUP_LIMITS):
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdigit():  # else it is `max`
            most = min(most, int(text))
    return most


def gpu_memory() -> int:
    """Bytes of the smallest GPU of this machine; 0 without one."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return min((torch.cuda.get_device_properties(index).total_memory for index in range(count)), default=0)
