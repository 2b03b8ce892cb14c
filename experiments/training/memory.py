"""Memory of a run: its peak, on the GPU where it trains on one, else of the worker's process; and the lack of it."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import cv2
import torch

from utils.faults import chain

# Not every lack of memory has an exception of its own: these are the words of the CPU's allocator (on Linux, and
# elsewhere), of Apple's GPUs, and of libraries beside torch's own allocators.
_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "MPS backend out of memory",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
)
# OneDNN's for want of memory. Of what it cannot do at all it says more: that of a primitive descriptor.
_PRIMITIVE = "could not create a primitive"


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` came of an allocator, of a GPU or of the host, that had no more to give."""
    return any(_lacks_memory(one) for one in chain(error))


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, cv2.error):
        return getattr(error, "code", None) == cv2.Error.StsNoMem
    if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
        return str(error).strip() == _PRIMITIVE or any(words in str(error) for words in _WORDS)
    return isinstance(error, torch.OutOfMemoryError | MemoryError)


def too_few_cases(error: BaseException) -> bool:
    """Whether batch normalisation has refused to train on a single value per channel, in the words of torch."""
    return isinstance(error, ValueError) and "Expected more than 1 value per channel when training" in str(error)


class PeakMemory:
    """Peak since `start`, in MiB.

    On Linux the process's high-water mark is reset first, since a reused worker would otherwise report
    the largest network that it has ever trained.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None

    def start(self) -> None:
        """Forgets earlier peaks."""
        if self._cuda is not None:
            torch.cuda.reset_peak_memory_stats(self._cuda)
        else:
            # Not permitted in some containers; the peak is then that of the whole process's life.
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def mebibytes(self) -> float:
        """The peak so far."""
        if self._cuda is not None:
            return float(torch.cuda.max_memory_allocated(self._cuda)) / 2**20
        status = Path("/proc/self/status")
        if status.exists():
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return float(line.split()[1]) / 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 1024)
