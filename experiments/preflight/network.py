"""Whether a configuration's network can be trained at all, and with how much memory, found out without training it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from experiments.sweep import ModelSettings, Settings, TrainingSettings
from experiments.training.network import build_network, mask_channels
from experiments.training.optimization import make_optimizer
from experiments.training.probe import stand_in_loss
from models.cost import Operations
from models.memory import TrainingMemory, training_memory
from models.network import Output
from utils.errors import UserError

_SMALL_BATCH = 2


@dataclass(frozen=True)
class NetworkCheck:
    """What a try on the meta device came to.

    memory: of a training step with the configuration's batch; None where the network cannot be trained, of which
    reason then says why. gflops: operations of the forward pass for one image, counted as in `models.cost`.
    """

    memory: TrainingMemory | None
    reason: str = ""
    gflops: float = 0.0


def check_network(settings: Settings, classes: int, device: str) -> NetworkCheck:
    """Tries one training step of a configuration, its answers' shapes at the image size, and counts its memory.

    classes: of the data. device: ``cpu``, ``cuda`` or ``mps``, which decides on mixed precision. Configurations whose
    differences play no part in this are tried once a process.

    A network that looks at its values on the way, which the meta device does not have, is tried with a batch of two
    on this machine's CPU instead, and its memory scaled to the batch. The latent augmentation is left out. Where a
    better network may wait for its checkpoint, the copy counts as well, unless the step is on a GPU: it is the host's.
    """
    dataset, training = settings.dataset, settings.training
    plain = TrainingSettings(batch_size=training.batch_size, optimizer=training.optimizer, momentum=training.momentum)
    mixed = training.amp != "none" and (training.amp != "auto" or device == "cuda")
    check = _check(
        settings.model.model_dump_json(exclude={"encoder_weights", "latent_augmentation"}),
        plain.model_dump_json(),
        classes,
        dataset.height_width,
        mixed,
        device == "cuda",
    )
    if check.memory is None or device == "cuda" or training.checkpoint_overhead >= 1:
        return check
    return replace(check, memory=check.memory._replace(peak=check.memory.peak + check.memory.network))


# Keyed by text: settings hold dicts (a part's options) and cannot be hashed.
@functools.lru_cache(maxsize=1024)
def _check(
    model_text: str, training_text: str, classes: int, size: tuple[int, int], mixed: bool, cuda: bool
) -> NetworkCheck:
    model = ModelSettings.model_validate_json(model_text)
    training = TrainingSettings.model_validate_json(training_text)

    def step(batch: int, device: str) -> NetworkCheck:
        operations = Operations()
        memory = training_memory(
            lambda: _Counted(build_network(model, classes), operations),
            (batch, 3, *size),
            _checked_loss((batch, mask_channels(model, classes), *size), _labels_shape(model, batch, classes)),
            lambda parameters: make_optimizer(parameters, training),
            # fp16 has the bytes of bf16, and the driver's machine may know neither.
            autocast=torch.bfloat16 if mixed else None,
            foreach=cuda,
            device=device,
        )
        return NetworkCheck(memory, gflops=operations.total / batch / 1e9)

    return _tried(step, training.batch_size)


def _tried(step: Callable[[int, str], NetworkCheck], batch: int) -> NetworkCheck:
    try:
        return step(batch, "meta")
    except UserError as error:
        return NetworkCheck(None, _reason(error))
    except Exception:  # whether the network is at fault or the device, which has no values, only a real step can tell
        return _tried_with_values(step, batch)


def _tried_with_values(step: Callable[[int, str], NetworkCheck], batch: int) -> NetworkCheck:
    small = min(batch, _SMALL_BATCH)
    try:
        with torch.random.fork_rng(devices=[]):
            check = step(small, "cpu")
        assert check.memory is not None, "a step that was gone through has its memory"
        return replace(check, memory=check.memory.enlarged(batch / small))
    except Exception as error:  # libraries refuse with whatever is at hand; all of it is a reason
        return NetworkCheck(None, _reason(error))


def _labels_shape(model: ModelSettings, batch: int, classes: int) -> tuple[int, ...] | None:
    return None if model.classification_head.name == "none" else (batch, classes)


def _checked_loss(masks: tuple[int, ...], labels: tuple[int, ...] | None) -> Callable[[Output], Tensor]:
    """A loss that raises ValueError for answers of other shapes; labels: None where there must be none."""

    def loss(output: Output) -> Tensor:
        for name, answer, shape in (
            ("masks", output.masks, masks),
            ("labels", output.labels, labels),
            *(("sides", side, masks) for side in output.sides),
        ):
            found = None if answer is None else tuple(answer.shape)
            if found != shape:
                raise ValueError(f"its {name} have the shape {found} instead of {shape}")
        return stand_in_loss(output)

    return loss


class _Counted(nn.Module):
    """A network whose forward pass is counted."""

    def __init__(self, network: nn.Module, operations: Operations) -> None:
        super().__init__()
        self.network, self._operations = network, operations

    def forward(self, images: Tensor) -> Any:
        with self._operations:
            return self.network(images)


def _reason(error: Exception) -> str:
    """One line; of problems that name a setting, the setting and its value too."""
    if isinstance(error, UserError):
        return "; ".join(str(problem) for problem in error.problems)
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])
