"""A run on phantoms that is ready to train, for what measures its epochs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.training.run import TrainingRun
from tests.experiments.training.devices.confined import phantoms, spec_of
from utils.images.cache import ImageCache
from utils.splits.table import read_split_table


def settings_of(encoder: str, size: int, batch: int, **training: Any) -> dict[str, Any]:
    """The settings of a U-Net with this encoder, without pretrained weights."""
    return {
        "dataset": {"name": "phantom", "image_size": size},
        "model": {"encoder": encoder, "encoder_weights": "none"},
        "training": {"batch_size": batch, "epochs": 1000, **training},
    }


def opened(folder: Path, settings: Mapping[str, Any], cases: int, device: str, threads: int) -> TrainingRun:
    """A run in a folder, to which so many phantoms are for training."""
    place = folder / "data"
    data = phantoms(place, settings["dataset"]["image_size"], 2 * cases)
    spec = replace(spec_of(folder / "run", data, settings, device), threads=threads)
    split, groups = read_split_table(spec.split_file)
    return TrainingRun(spec, ImageCache(spec.cache), split.folds[0], groups)


def synchronized(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of `work`, to the end of what it has a GPU do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
