"""What the GPUs of this machine have taken, by NVIDIA's own counters (``nvidia-ml-py``, an extra).

Energy is counted for a session as a whole and on the driver's machine alone. To share it out among the runs that were
on one GPU at the same time would be a guess, and other machines of a cluster have counters of their own.
"""

from __future__ import annotations

import importlib
import importlib.util


def joules_so_far() -> float | None:
    """Joules that all NVIDIA GPUs of this machine have taken since their driver was loaded.

    None without a GPU, without the library, and for GPUs older than Volta, which count no energy.
    """
    if importlib.util.find_spec("pynvml") is None:
        return None
    nvml = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None  # no GPU, or no driver for it
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return sum(nvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles) / 1000 if handles else None
    except nvml.NVMLError_NotSupported:
        return None
    finally:
        nvml.nvmlShutdown()
