"""A device of the size of one's choice."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.memory import LiveBytes


class Device(LiveBytes):
    """Under it torch has `room` bytes: where the next tensor would be too much, torch's own exception is raised."""

    def __init__(self, room: float = math.inf) -> None:
        super().__init__()
        self._room = room

    def add(self, *tensors: Tensor) -> None:
        """Counts tensors; raises torch.OutOfMemoryError where there is no room for them. Meta tensors take none."""
        super().add(*(tensor for tensor in tensors if not tensor.is_meta))
        if self.now > self._room:
            raise torch.OutOfMemoryError(f"CUDA out of memory. {self.now} of {self._room} bytes are in use.\nSee ...")
