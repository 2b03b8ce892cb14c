"""Activations that are computed twice give the same network, with less memory."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from models.checkpointing import blocks_of, checkpoint_activations
from models.decoders import DECODERS
from models.memory import training_memory
from models.network import Network, Output

FAMILIES = ("mit_b0", "vgg11_bn", "densenet121", "efficientnet-b0", "xception", "inceptionv4", "tu-regnety_002")


def loss_of(output: Output) -> Tensor:
    assert output.labels is not None
    return torch.stack([answer.square().mean() for answer in (output.masks, output.labels, *output.sides)]).sum()


def trained(network: Network) -> dict[str, Tensor]:
    """Gradients and buffers after one step on two images."""
    network.train()
    torch.manual_seed(1)  # of dropout, stochastic depth and latent augmentation
    network.minority[:] = True
    loss_of(network(torch.rand(2, 3, 64, 64), torch.tensor([0, 1]))).backward()
    gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    return {**gradients, **dict(network.named_buffers()), "next": torch.rand(1)}


def assert_the_same(network: Network) -> None:
    other = copy.deepcopy(network)
    checkpoint_activations(other.encoder, other.decoder)
    plain, again = trained(network), trained(other)
    assert plain.keys() == again.keys()
    assert [name for name, value in plain.items() if not torch.equal(value, again[name])] == []
    assert network.state_dict().keys() == other.state_dict().keys()


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("tu-test_resnet", "unet"),
        *(pytest.param(encoder, "unet", marks=pytest.mark.slow) for encoder in FAMILIES),
        *(pytest.param("resnet18", decoder, marks=pytest.mark.slow) for decoder in DECODERS if decoder != "unet"),
    ],
)
def test_gradients_and_statistics_are_those_of_an_ordinary_step(encoder: str, decoder: str) -> None:
    torch.manual_seed(0)
    assert_the_same(Network(encoder, (decoder, {}), latent_augmentation=("noise", {"probability": 1.0})))


def test_a_network_with_every_part_and_dropout() -> None:
    torch.manual_seed(0)
    network = Network(
        "tu-test_resnet",
        ("unetplusplus", {"channels": [16] * 5}),
        bottleneck=("aspp", {}),
        attention=("cbam", {}),
        deep_supervision=True,
        classification_head=("pooled", {"dropout": 0.5}),
    )
    for block in blocks_of(network.encoder):
        block.register_forward_hook(lambda module, inputs, output: nn.functional.dropout(output, 0.2, module.training))
    assert_the_same(network)


def test_a_frozen_encoder_and_an_evaluation_are_as_before() -> None:
    network = Network("tu-test_resnet")
    network.freeze_encoder()
    assert_the_same(network)
    other = copy.deepcopy(network)
    checkpoint_activations(other.encoder, other.decoder)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.eval()(images).masks, other.eval()(images).masks)


@pytest.mark.parametrize(("encoder", "share"), [("resnet18", 0.75), ("vgg11_bn", 0.85)])
def test_a_training_step_takes_less_memory(encoder: str, share: float) -> None:
    """Measured on the meta device, whose weights, gradients and optimizer are part of both."""

    def build(checkpointing: bool) -> Network:
        network = Network(encoder)
        if checkpointing:
            checkpoint_activations(network.encoder, network.decoder)
        return network

    plain, again = (
        training_memory(partial(build, checkpointing), (4, 3, 256, 256), loss_of, partial(SGD, lr=0.1))
        for checkpointing in (False, True)
    )
    assert again.saved < 0.5 * plain.saved
    assert again.peak < share * plain.peak
