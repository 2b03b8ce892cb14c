"""Steps of a small network in each of the ways that a CPU can go about them."""

from __future__ import annotations

import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from models.network import Network

BATCH, SIDE, ROUNDS = 4, 64, 5


@dataclass(frozen=True)
class Calibration:
    """How many times as fast, by the median of a few rounds in turns.

    bf16: as fp32. channels_last: as contiguous. side_by_side: two runs with a thread each as one run with two threads,
    in steps a second of both together; NaN on a machine with a single core.
    """

    bf16: float
    channels_last: float
    side_by_side: float


def measure(cores: int) -> Calibration:
    """Measures this machine, in some ten seconds. cores: how many there are.

    The number of threads and torch's random numbers are put back.
    """
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.random.fork_rng(devices=[]):
            ways = {
                "fp32": _stepper(None, torch.channels_last),
                "bf16": _stepper(torch.bfloat16, torch.channels_last),
                "contiguous": _stepper(None, torch.contiguous_format),
            }
            seconds = _in_turns(ways)
    finally:
        torch.set_num_threads(before)
    side_by_side = _side_by_side() if cores > 1 else math.nan
    return Calibration(seconds["fp32"] / seconds["bf16"], seconds["contiguous"] / seconds["fp32"], side_by_side)


def _in_turns(ways: dict[str, Callable[[], None]]) -> dict[str, float]:
    """The median seconds of a step in each way; what disturbs the machine meanwhile disturbs all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, step in ways.items():
            started = time.perf_counter()
            step()
            if turn > 0:  # the first is to warm up
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def _side_by_side() -> float:
    """Throughput of two processes with a thread each over that of one with two threads."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    with context.Pool(2, _meet, (barrier,)) as pool:
        together = max(pool.starmap(_step_seconds, [(1, True)] * 2, chunksize=1))
        alone = pool.apply(_step_seconds, (2, False))
    return 2 * alone / together


_barrier: Any = None


def _meet(barrier: Any) -> None:
    """Gives a process the barrier behind which both begin."""
    global _barrier
    _barrier = barrier


def _step_seconds(threads: int, wait: bool) -> float:
    torch.set_num_threads(threads)
    step = _stepper(None, torch.channels_last)
    if wait:
        _barrier.wait()
    return _in_turns({"": step})[""]


def _stepper(precision: torch.dtype | None, layout: torch.memory_format) -> Callable[[], None]:
    """One step of forward and backward pass of a U-Net on resnet18, without an optimizer, which is the same in all."""
    torch.manual_seed(0)
    network = Network("resnet18").to(memory_format=layout).train()
    images = torch.rand(BATCH, 3, SIDE, SIDE).contiguous(memory_format=layout)

    def step() -> None:
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
            masks = network(images).masks
        masks.float().square().mean().backward()

    return step
