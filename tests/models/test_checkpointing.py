"""Activations that are computed twice, block by block or part by part, give the same network with less memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD

from models.checkpointing import answer_in_parts, blocks_of, checkpoint_activations, part_sizes
from models.decoders import DECODERS
from models.latent_augmentation.latent_augmentation import Mixing
from models.memory import LiveBytes, training_memory
from models.network import Network, Output
from utils.losses import CLASSIFICATION_LOSSES, SEGMENTATION_LOSSES

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


@given(cases=st.integers(1, 300), at_once=st.integers(1, 300))
def test_parts_are_even_and_together_the_batch_and_no_case_is_left_over(cases: int, at_once: int) -> None:
    sizes = part_sizes(cases, at_once)
    assert sum(sizes) == cases and max(sizes) - min(sizes) <= 1
    assert max(sizes) <= (at_once if at_once != 2 else 3)
    assert min(sizes) > 1 or at_once == 1 or cases == 1
    assert len(sizes) == 1 if cases <= at_once else len(sizes) > 1 or (cases, at_once) == (3, 2)


def without_batch_norm(network: Network) -> Network:
    """Each image normalised by itself, in the place of batch normalisation."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(module, name, nn.GroupNorm(1, child.num_features))
    return network


CHANCE = torch.Generator().manual_seed(0)
IMAGES = torch.rand(7, 3, 32, 32, generator=CHANCE)
MASKS = (torch.rand(7, 1, 32, 32, generator=CHANCE) > 0.7).float()
LABELS = torch.tensor([0, 1, 2, 0, 0, 1, 0])
MASKS[2] = 0  # a case without a lesion, which region losses would judge otherwise if it were alone


Answer = Callable[[Network, Tensor, Tensor, int], Output]


def step(
    network: Network,
    at_once: int,
    segmentation: str = "dice_bce",
    amp: bool = False,
    answer: Answer = answer_in_parts,
) -> tuple[float, Tensor]:
    """Loss and gradients of one step on seven images."""
    network.zero_grad()
    torch.manual_seed(1)
    precision = next(network.parameters()).dtype
    images, truth = IMAGES.to(precision), MASKS.to(precision)
    region = SEGMENTATION_LOSSES[segmentation](1)
    diagnosis = CLASSIFICATION_LOSSES["cross_entropy"](torch.tensor([0.6, 1.2, 2.3]))
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        output = answer(network, images, LABELS, at_once)
        masks = truth if output.mixing is None else output.mixing.mix(truth)
        losses = [region(logits, masks) for logits in (output.masks, *output.sides)]
        loss = torch.stack(losses).sum() + diagnosis(output.labels, LABELS)
    loss.backward()
    gradients = [value.grad.flatten() for value in network.parameters() if value.grad is not None]
    return loss.item(), torch.cat(gradients)


def with_all_kept(network: Network, images: Tensor, labels: Tensor, at_once: int) -> Output:
    """The parts one after another as autograd has them of itself, with all their activations in memory."""
    sizes = part_sizes(len(images), at_once)
    answers = [network(*part) for part in zip(images.split(sizes), labels.split(sizes), strict=True)]
    masks, diagnoses, _, mixings = zip(*answers, strict=True)
    return Output(torch.cat(masks), torch.cat(diagnoses), (), Mixing.joined(mixings) if mixings[0] else None)


def small(**parts: Any) -> Network:
    torch.manual_seed(0)
    decoder = ("unetplusplus", {"channels": [8] * 3, "depth": 3})
    head = ("pooled", {"dropout": 0.0})
    return Network(
        ("unet_scratch", {"width": 4}), **{"decoder": decoder, "classes": 3, "classification_head": head, **parts}
    ).train()


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "beside checkpointing"])
@pytest.mark.parametrize("segmentation", ["dice_bce", "lovasz"])
def test_parts_add_up_to_the_gradient_of_the_batch_whatever_the_loss(segmentation: str, checkpointing: bool) -> None:
    """Both losses take all pixels of the batch as one, and the weights of classes are those of the whole batch, too.

    In double precision: in single, an activation within 1e-7 of the kink of a ReLU can fall on its other side when the
    number of images selects another kernel, which moves a gradient by up to 1e-3.
    """
    network = without_batch_norm(small(deep_supervision=True)).double()
    loss, whole = step(network, 7, segmentation)
    assert whole.abs().max() > 1e-3
    if checkpointing:
        checkpoint_activations(network.encoder, network.decoder)
    for at_once in (6, 3, 2, 1):
        same, parts = step(network, at_once, segmentation)
        assert same == pytest.approx(loss, rel=1e-6)
        assert torch.allclose(parts, whole, rtol=1e-9, atol=1e-11 * float(whole.abs().max()))


def test_in_mixed_precision_they_add_up_as_precisely_as_its_numbers_are() -> None:
    network = without_batch_norm(small())
    _, whole = step(network, 7, amp=True)
    _, exact = step(network, 7)
    _, parts = step(network, 2, amp=True)
    assert torch.norm(parts - exact) < 2 * torch.norm(whole - exact)


def test_batch_normalisation_sees_a_part_at_a_time_and_counts_it_once() -> None:
    network = small()
    before = [buffer.clone() for buffer in network.buffers()]
    _, whole = step(network, 7)
    for buffer, value in zip(network.buffers(), before, strict=True):
        buffer.copy_(value)
    _, parts = step(network, 3)
    assert not torch.allclose(parts, whole, rtol=1e-3)
    assert {int(value) for name, value in network.named_buffers() if name.endswith("batches_tracked")} == {3}
    after = [buffer.clone() for buffer in network.buffers()]
    for buffer, value in zip(network.buffers(), before, strict=True):
        buffer.copy_(value)
    with torch.no_grad():
        for images, labels in zip(IMAGES.split([3, 2, 2]), LABELS.split([3, 2, 2]), strict=True):
            network(images, labels)
    assert all(torch.equal(one, other) for one, other in zip(network.buffers(), after, strict=True))


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "beside checkpointing"])
def test_random_numbers_are_the_same_forwards_and_backwards(checkpointing: bool) -> None:
    """Of dropout and of mixing, which has its partners in the same part."""
    mixup = ("intra_class_mixup", {"feeds": "decoder", "probability": 1.0})
    network = small(classification_head=("pooled", {"dropout": 0.5}), latent_augmentation=mixup)
    network.minority[:] = True
    loss, gradients = step(network, 3, answer=with_all_kept)
    if checkpointing:
        checkpoint_activations(network.encoder, network.decoder)
    same, parts = step(network, 3)
    assert same == loss
    assert torch.equal(parts, gradients)


def test_the_fewer_at_once_the_less_memory() -> None:
    network, peaks = small(), []
    for at_once in (7, 4, 2, 1):
        with LiveBytes() as live:
            step(network, at_once)
        peaks.append(live.peak)
    assert peaks[1] < 0.75 * peaks[0] and peaks[2] < 0.6 * peaks[0] and peaks[3] < 0.35 * peaks[0]


def test_a_batch_that_fits_goes_through_as_it_is() -> None:
    network = small()
    loss, gradients = step(network, 7, answer=lambda network, images, labels, at_once: network(images, labels))
    same, found = step(network, 100)
    assert same == loss and torch.equal(found, gradients)
