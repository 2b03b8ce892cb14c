"""Which share of a GPU a run needs."""

from __future__ import annotations

CONTEXT_BYTES = 600 * 2**20
"""What a process has on a GPU beside its tensors: the CUDA context, and the kernels of torch, cuDNN and cuBLAS.

`torch.cuda.memory_allocated` does not see it, as its documentation says. 781 MB were seen with all kernels loaded
(github.com/pytorch/pytorch/issues/34323); CUDA has since come to load them lazily, and about 0.5 GB is usual.
"""
MOST_SHARING = 4
"""The most runs on one GPU, however small they are. Processes take turns at computing there, unless NVIDIA's
Multi-Process Service runs: what one more can fill are the gaps that launching kernels and loading data leave."""
_SAFETY = 1.25
"""By how much more than its peak a run is given: what the allocator rounds up and cannot use in pieces, workspaces
inside kernels, and the error of the estimate, which is a quarter at most."""


def share_of(peak: int | None, gpu_memory: int, most: int = MOST_SHARING) -> float:
    """The share of a GPU: 1, 1/2, 1/3 or 1/4, since a process serves the next run only if both have the same.

    peak: bytes of tensors at the run's peak; gpu_memory: of the whole GPU; where one of them is not known, or the run
    does not fit, it has the GPU to itself. most: runs on one GPU, at least one.
    """
    if peak is None or gpu_memory <= 0:
        return 1.0
    fitting = int(gpu_memory // (peak * _SAFETY + CONTEXT_BYTES))
    return 1.0 / max(1, min(fitting, most))
