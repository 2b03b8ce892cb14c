"""The encoders that neither smp nor timm has: the files of this folder, found by themselves."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from models.encoders.encoder import Encoder
from utils.registry import Registry

# A factory takes (depth, output_stride) and answers an encoder with random weights.
ENCODERS: Registry[Callable[..., Encoder]] = Registry("encoder")

# Where the ImageNet weights of such an encoder are published, if they are; asked only when they are wanted.
WEIGHT_URLS: dict[str, Callable[[], str]] = {}


@functools.cache
def load_own_encoders() -> None:
    """Imports every module of this folder, which files its encoders in `ENCODERS`."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
