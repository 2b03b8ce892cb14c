"""Memory of a run: its peak, on the GPU where it trains on one, else of the worker's process; and the lack of it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import platform
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


KEPT_MIB = 256.0
"""What a process may keep from one run to the next beyond what it had before its first. To give less back is not worth
the tenths of a second that looking for it takes: the next run would only ask for it again."""


def give_back_memory() -> None:
    """Gives the system what a run that has ended leaves behind: its neighbours may need it, and so may the next run.

    On the CPU only where it is more than `KEPT_MIB`. Freed memory stays with glibc's allocator otherwise: a process
    that has trained efficientnet-b6 keeps 1.1 GiB of it, and the peak of its next run would look as large.
    """
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
    if _resident_mebibytes() > memory_at_rest() + KEPT_MIB:
        gc.collect()
        if platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)


@functools.cache
def memory_at_rest() -> float:
    """MiB that this process had when it was first asked: before its first run, if asked then."""
    return _resident_mebibytes()


def _resident_mebibytes() -> float:
    """MiB that are in memory and not shared with files or other processes; 0 where the system does not tell."""
    try:
        _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0.0
    return (int(resident) - int(shared)) * resource.getpagesize() / 2**20


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
