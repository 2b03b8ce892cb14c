"""A step of training asks the GPU for no value and sends it none: the host runs ahead, and the GPU is never idle.

Forward passes on fake tensors, which claim to be on a GPU, have shapes and no values: who asks for a value is found
out, and who sends one, too, since CUDA lets the host wait until what comes from ordinary memory has arrived.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from experiments.sweep import Settings
from experiments.training.loss import RunLoss
from experiments.training.network import build_network
from models.cost import on_meta
from models.network import Output
from utils.losses import CLASSIFICATION_LOSSES, SEGMENTATION_LOSSES

FAKE = functools.partial(FakeTensorMode, allow_non_fake_inputs=True)
ASKED = (DataDependentOutputException, DynamicOutputShapeException)
CASES, SIDE, CLASSES = 4, 64, 3
ON_THE_HOST = {"boundary"}
"""Losses that need maps of distances, which the host computes in every step: it waits for the masks."""


class Traffic(TorchDispatchMode):
    """Notes operations between host and device; single numbers are arguments of kernels, and no traffic."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        given, made = (
            [leaf.is_cuda for leaf in tree_leaves(values) if isinstance(leaf, Tensor) and leaf.dim() > 0]
            for values in ((args, kwargs), answer)
        )
        if len({*given, *made}) == 2:
            self.found.append(str(func))
        return answer


def of_the_network(model: dict[str, Any]) -> list[str]:
    """The traffic of a network's forward pass; raises where a value is asked for."""
    settings = Settings.model_validate({"model": {"encoder": "resnet18", "encoder_weights": "none", **model}})
    network = on_meta(lambda: build_network(settings.model, CLASSES)).train()
    with FAKE():
        network, images = network.to_empty(device="cuda"), torch.rand(CASES, 1, SIDE, SIDE, device="cuda")
        labels = torch.zeros(CASES, dtype=torch.int64, device="cuda")
        with Traffic() as traffic:
            network(images, labels)
    return traffic.found


def of_the_loss(training: dict[str, Any], channels: int = 1) -> list[str]:
    """The traffic of a loss of masks with so many channels and of the diagnosis; raises where a value is asked for."""
    settings = Settings.model_validate({"training": training})
    loss = RunLoss(settings.training, channels, [5, 3, 2]).to("meta")
    with FAKE():
        loss = loss.to_empty(device="cuda")
        output = Output(*(torch.rand(CASES, *shape, device="cuda") for shape in ((channels, SIDE, SIDE), (CLASSES,))))
        masks = torch.zeros(CASES, 1, SIDE, SIDE, device="cuda")
        labels = torch.zeros(CASES, dtype=torch.int64, device="cuda")
        with Traffic() as traffic:
            loss(output, masks, labels)
    return traffic.found


@pytest.mark.parametrize(
    "asking",
    [
        lambda values: values.cpu(),
        lambda values: values.sum().item(),
        lambda values: bool(values.sum() > 0),
        lambda values: values[values > 0],
    ],
)
def test_who_asks_for_a_value_is_found_out(asking: Callable[[Tensor], object]) -> None:
    with FAKE():
        values = torch.rand(4, device="cuda")
        with pytest.raises(ASKED), Traffic() as traffic:
            asking(values)
            if traffic.found:
                raise DataDependentOutputException(traffic.found)


def test_who_sends_values_is_found_out() -> None:
    with FAKE():
        values = torch.rand(4, device="cuda")
        with Traffic() as traffic:
            values[torch.arange(4)]
            torch.ones(4).to("cuda")
    assert len(traffic.found) == 2


@pytest.mark.parametrize("channels", [1, 1 + CLASSES])
@pytest.mark.parametrize("name", sorted(set(SEGMENTATION_LOSSES) - ON_THE_HOST))
def test_a_loss_of_masks_leaves_the_host_alone(name: str, channels: int) -> None:
    assert of_the_loss({"segmentation_loss": name}, channels) == []


@pytest.mark.parametrize("name", sorted(CLASSIFICATION_LOSSES))
def test_a_loss_of_the_diagnosis_leaves_the_host_alone(name: str) -> None:
    assert of_the_loss({"classification_loss": name, "class_weights": "balanced"}) == []


# Mix-up draws from a beta distribution, which fake tensors do not know.
@pytest.mark.parametrize("latent", ["none", "noise"])
def test_a_network_leaves_the_host_alone(latent: str) -> None:
    assert of_the_network({"latent_augmentation": latent}) == []


@pytest.mark.parametrize("name", sorted(ON_THE_HOST & set(SEGMENTATION_LOSSES)))
def test_a_loss_whose_distances_the_host_computes_is_known_for_it(name: str) -> None:
    with pytest.raises(RuntimeError, match="numpy"):
        of_the_loss({"segmentation_loss": name})
