"""How long a trained network takes for one image."""

from __future__ import annotations

import time

import numpy as np
import torch

from experiments.training.batches import Batches
from models.network import Network


@torch.no_grad()
def inference_milliseconds(network: Network, batches: Batches, device: torch.device, repeats: int = 10) -> float:
    """Median milliseconds of a forward pass of one image, in eval mode, after two passes to warm up."""
    network.eval()
    image = next(batches.epoch()).images[:1]
    seconds = []
    for _ in range(repeats + 2):
        _synchronize(device)
        start = time.perf_counter()
        network(image)
        _synchronize(device)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[2:]) * 1000)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
