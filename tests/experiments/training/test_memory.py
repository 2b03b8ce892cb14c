"""The peak of a run is its own, not that of the largest run that its worker has seen; and what lack of memory is."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from experiments.training.memory import KEPT_MIB, PeakMemory, memory_at_rest, out_of_memory


def resettable() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


@pytest.mark.skipif(not resettable(), reason="this system does not let a process reset its high-water mark")
def test_the_peak_is_reset_between_runs() -> None:
    meter = PeakMemory(torch.device("cpu"))
    meter.start()
    before = meter.mebibytes()
    tensor = torch.ones(300 * 2**20 // 4)
    during = meter.mebibytes()
    assert during > before + 250
    del tensor
    assert meter.mebibytes() == pytest.approx(during, rel=0.05), "a peak stays when the memory is given back"
    meter.start()
    assert meter.mebibytes() < during - 250


def raised(work: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def too_much_for_cv2() -> None:
    # Its own limit on an image's pixels is far above what any machine has.
    cv2.copyMakeBorder(np.zeros((2, 2), np.uint8), 0, 2**30, 0, 2**29, cv2.BORDER_CONSTANT)


@pytest.mark.parametrize(
    "work",
    [lambda: torch.empty(2**58), lambda: np.empty(2**58), lambda: bytearray(2**60), too_much_for_cv2],
    ids=["torch", "numpy", "Python", "OpenCV"],
)
def test_what_an_allocator_says_that_has_no_more_to_give(work: Callable[[], object]) -> None:
    error = raised(work)
    assert out_of_memory(error)
    other = RuntimeError("the loader has failed")
    other.__cause__ = error
    assert out_of_memory(other), "whatever a library has made of it"


def test_what_a_gpu_says_that_has_no_more_to_give() -> None:
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))


def test_what_libraries_say_that_had_no_more_on_the_cpu() -> None:
    assert out_of_memory(RuntimeError("could not create a primitive"))
    assert out_of_memory(RuntimeError("std::bad_alloc"))


def test_no_other_error_is_a_lack_of_memory() -> None:
    shapes = raised(lambda: torch.ones(2, 3) @ torch.ones(2, 3))
    assert not out_of_memory(shapes)
    assert not out_of_memory(ValueError("out of memory"))
    assert not out_of_memory(RuntimeError("could not create a primitive descriptor for a convolution"))
    assert not out_of_memory(raised(lambda: cv2.resize(np.zeros((0, 0), np.uint8), (4, 4))))
    assert not out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to give memory back")
def test_a_worker_gives_back_what_a_large_network_took(bench: Any, tmp_path: Path) -> None:
    memory_at_rest.cache_clear()
    before = memory_at_rest()
    spec = bench.spec(tmp_path / "large", {"training.epochs": 1, "model.encoder": "efficientnet-b6"})
    bench.execute(spec)
    assert bench.record(spec)["status"] == "complete"
    memory_at_rest.cache_clear()
    # The weights and the optimizer's state alone are 500 MiB.
    assert memory_at_rest() < before + KEPT_MIB + 150
    memory_at_rest.cache_clear()
