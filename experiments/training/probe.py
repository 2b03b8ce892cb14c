"""How long a training step takes on this machine, measured rather than guessed."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from experiments.sweep import Settings
from experiments.training.network import build_network
from experiments.training.optimization import amp_type, make_optimizer
from models.network import Output

_LARGEST_BATCH = 4


def step_seconds(settings: Settings, classes: int, device: str, threads: int) -> float:
    """Seconds of one optimizer step of `settings`: forward, backward and update, after one step to warm up.

    On the CPU a smaller batch is timed and the time scaled, which overestimates a little. Pixels are random:
    no step's time depends on what is in the picture.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    training = settings.training
    timed = training.batch_size if device == "cuda" else min(training.batch_size, _LARGEST_BATCH)
    # Batch normalisation cannot train on one image where features shrink to one pixel.
    timed = max(timed, 2)
    layout = torch.channels_last if training.channels_last else torch.contiguous_format
    network = build_network(settings.model, classes).to(device, memory_format=layout)  # type: ignore[call-overload]
    optimizer = make_optimizer(network.parameters(), training)
    images = torch.rand(timed, 3, *settings.dataset.height_width, device=device).contiguous(memory_format=layout)
    labels = torch.arange(timed, device=device) % classes
    precision = amp_type(training.amp, torch.device(device))
    network.minority[:] = True
    network.train()
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=precision, enabled=precision is not None):
            loss = stand_in_loss(network(images, labels))
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return seconds * training.batch_size / timed


def stand_in_loss(output: Output) -> Tensor:
    """A scalar that every answer of a network is part of: for what depends on the network and not on the loss."""
    answers = [output.masks, *output.sides, *([] if output.labels is None else [output.labels])]
    return torch.stack([answer.float().square().mean() for answer in answers]).sum()
