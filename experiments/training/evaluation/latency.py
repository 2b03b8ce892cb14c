"""How long a trained network takes for one image."""

from __future__ import annotations

import time

import numpy as np
import torch

from experiments.training.batches import Batches
from models.network import Network


@torch.no_grad()
def inference_milliseconds(
    network: Network, batches: Batches, device: torch.device, repeats: int = 10, patience: float = 0.05
) -> float:
    """Median milliseconds of a forward pass of one image, in eval mode, after one pass to warm up.

    repeats: passes; fewer, but at least three, of a network so slow that they take longer than `patience` seconds.
    """
    network.eval()
    image = next(batches.epoch()).images[:1]
    _seconds_of_pass(network, image, device)
    seconds: list[float] = []
    while len(seconds) < repeats and (len(seconds) < 3 or sum(seconds) < patience):
        seconds.append(_seconds_of_pass(network, image, device))
    return float(np.median(seconds) * 1000)


def _seconds_of_pass(network: Network, image: torch.Tensor, device: torch.device) -> float:
    _synchronize(device)
    start = time.perf_counter()
    network(image)
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
