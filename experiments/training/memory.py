"""Peak memory of a run: of the GPU where it trains on one, else of the worker's process."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import torch


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
