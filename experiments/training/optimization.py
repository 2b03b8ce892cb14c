"""Optimizers, learning-rate schedules and precisions by name; all are torch's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, ReduceLROnPlateau

if TYPE_CHECKING:
    from experiments.sweep import TrainingSettings


def make_optimizer(parameters: Iterable[torch.nn.Parameter], training: TrainingSettings) -> Optimizer:
    """AdamW, Adam or SGD with Nesterov momentum, over all parameters.

    Frozen ones are included: they have no gradient until they are thawed, and torch skips them.
    On CUDA and CPUs Adam's update of all of them is one kernel, torch's fused kind: on a CPU in a quarter of the time,
    which is a tenth of a step. SGD's fused kind cannot go on from the saved state of one without momentum.
    """
    parameters = list(parameters)
    if training.optimizer == "sgd":
        return SGD(
            parameters,
            lr=training.lr,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            nesterov=training.momentum > 0,
        )
    fused = True if {parameter.device.type for parameter in parameters} <= {"cuda", "cpu"} else None
    kind = {"adam": Adam, "adamw": AdamW}[training.optimizer]
    return kind(parameters, lr=training.lr, weight_decay=training.weight_decay, fused=fused)


class LearningRate:
    """Linear warm-up, then cosine to zero, reduction on a plateau (by 10 after a third of the patience), or constant.

    Stepped once an epoch.
    """

    def __init__(self, optimizer: Optimizer, training: TrainingSettings, mode: str) -> None:
        self.optimizer = optimizer
        self.warmup_epochs = min(training.warmup_epochs, training.epochs - 1)
        self._epoch = 0
        self._warmup: LRScheduler | None = None
        if self.warmup_epochs:
            self._warmup = LinearLR(optimizer, 1 / (self.warmup_epochs + 1), 1.0, self.warmup_epochs)
        self._after = self._schedule(training, mode)

    def _schedule(self, training: TrainingSettings, mode: str) -> LRScheduler | ReduceLROnPlateau | None:
        if training.scheduler == "cosine":
            return CosineAnnealingLR(self.optimizer, T_max=training.epochs - self.warmup_epochs)
        if training.scheduler == "plateau":
            patience = training.early_stopping.patience or training.epochs // 3
            return ReduceLROnPlateau(self.optimizer, mode="min" if mode == "min" else "max", patience=patience // 3)
        return None

    @property
    def value(self) -> float:
        """The learning rate of the coming step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self, objective: float) -> None:
        """Ends an epoch whose validation objective was `objective` (NaN leaves a plateau untouched)."""
        self._epoch += 1
        if self._warmup is not None and self._epoch <= self.warmup_epochs:
            self._warmup.step()
        elif isinstance(self._after, ReduceLROnPlateau):
            if not math.isnan(objective):
                self._after.step(objective)
        elif self._after is not None:
            self._after.step()

    def state_dict(self) -> dict[str, object]:
        """What `load_state_dict` needs to go on."""
        return {
            "epoch": self._epoch,
            "warmup": self._warmup.state_dict() if self._warmup else None,
            "after": self._after.state_dict() if self._after else None,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Goes on where `state_dict` was taken."""
        self._epoch = int(state["epoch"])  # type: ignore[call-overload]
        if self._warmup is not None:
            self._warmup.load_state_dict(state["warmup"])  # type: ignore[arg-type]
        if self._after is not None:
            self._after.load_state_dict(state["after"])  # type: ignore[arg-type]


def amp_type(name: str, device: torch.device) -> torch.dtype | None:
    """The type of autocast, None where there is none; ``auto`` is bf16 or else fp16 on CUDA, and none elsewhere.

    On a CPU it would pay on some and not on others, and the same settings would give other numbers there.
    """
    if name == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
