"""What every registered part of a network must keep, whoever wrote it: one test, over the registries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from models.attention import ATTENTION
from models.bottlenecks import BOTTLENECKS
from models.decoders import DECODERS, places_attention
from models.heads import CLASSIFICATION_HEADS
from models.latent_augmentation import LATENT_AUGMENTATIONS
from models.network import Network, Output
from utils.errors import UserError

Parts = Mapping[str, Any]

# One of each of smp's encoder families, of timm's through smp, and of ours; the second half takes seconds each.
FAMILIES = (
    *("resnet18", "efficientnet-b0", "mobilenet_v2", "mit_b0", "timm-skresnet18", "tu-convnext_atto"),
    "shufflenet_v2_x1_0",
)
HEAVY = (
    *("se_resnet50", "densenet121", "xception", "dpn68", "mobileone_s0", "tu-mobilenetv3_large_100", "tu-regnety_008"),
    *("resnet34", "resnet50", "resnet101", "resnext50_32x4d", "densenet169", "vgg11_bn", "vgg16_bn", "inceptionv4"),
    *("unet_scratch", "inceptionresnetv2", "timm-efficientnet-b0", "timm-tf_efficientnet_lite0", "senet154"),
    *(f"efficientnet-b{number}" for number in range(1, 7)),
)
SMALL_UNET = ("unet_scratch", {"width": 8})
DECODER_ENCODERS = ("resnet18", "mit_b0", "vgg11", SMALL_UNET, "tu-convnext_atto")

# Dilation cannot replace halving by a pooling layer; that such a pair says so when it is built has its own test.
IMPOSSIBLE = [
    ("vgg11", "pan"),
    ("unet_scratch", "pan"),
    *(
        (encoder, decoder)
        for encoder in ("vgg11", "unet_scratch", "densenet121", "xception")
        for decoder in ("deeplabv3", "deeplabv3plus")
    ),
    *((encoder, "pan") for encoder in ("densenet121", "xception")),
]

# Parameters that no output depends on, by design of the library: smp's EfficientNets carry a convolution that no
# feature passes, and encoders keep the stages that a shallower decoder does not ask for.
UNREAD = {
    "efficientnet": r"encoder\.(_conv_head|_bn1)\.",
    "timm": r"encoder\.(conv_head|bn2)\.",
}


def described(value: object) -> str:
    """The test's id: the names of the parts that differ from the usual ones."""
    if isinstance(value, Mapping):
        return "+".join(_name(part) for part in value.values()) or "usual"
    return _name(value)


def _name(part: Any) -> str:
    return part[0] if isinstance(part, tuple) else str(part)


def networks() -> Iterator[Any]:
    """Keyword arguments of `Network`: every part of every registry, each among otherwise usual ones."""
    yield from ({"encoder": name} for name in FAMILIES)
    yield from (pytest.param({"encoder": name}, marks=pytest.mark.slow) for name in HEAVY)
    for encoder in DECODER_ENCODERS:
        slow = _name(encoder) != "resnet18"
        for name in DECODERS:
            if (_name(encoder), name) in IMPOSSIBLE:
                continue
            parts = {"encoder": encoder, "decoder": (name, {})}
            yield pytest.param(parts, marks=pytest.mark.slow) if slow else parts
    for name in ATTENTION:
        yield {"encoder": "resnet18", "decoder": ("attention_unet", {}), "attention": (name, {})}
        if not _needs_a_gate(name):
            parts = {"encoder": "mit_b0", "decoder": ("unet", {}), "attention": (name, {})}
            yield pytest.param(parts, marks=pytest.mark.slow)
    for name in BOTTLENECKS:
        yield {"encoder": "resnet18", "bottleneck": (name, {})}
        yield pytest.param({"encoder": "efficientnet-b0", "bottleneck": (name, {})}, marks=pytest.mark.slow)
    yield from ({"encoder": "resnet18", "classification_head": (name, {})} for name in CLASSIFICATION_HEADS)
    yield from ({"encoder": "resnet18", "latent_augmentation": (name, {})} for name in LATENT_AUGMENTATIONS)


def _needs_a_gate(name: str) -> bool:
    try:
        ATTENTION[name](8, 0, **ATTENTION.check(name, {}))
    except UserError:
        return True
    return False


def build(parts: Parts, seed: int = 0, **more: Any) -> Network:
    torch.manual_seed(seed)
    return Network(**{**parts, **more}, classes=3)


def tensors(output: Output) -> list[Tensor]:
    return [output.masks, *([] if output.labels is None else [output.labels]), *output.sides]


def loss_of(output: Output) -> Tensor:
    return torch.stack([part.square().mean() for part in tensors(output)]).sum()


def has_head(parts: Parts) -> bool:
    return parts.get("classification_head", ("pooled",))[0] != "none"


def assert_every_parameter_learns(network: Network, parts: Parts) -> None:
    encoder = _name(parts["encoder"])
    unread = UNREAD.get(re.split(r"[-_]", encoder)[0])
    # Stages deeper than the decoder asks for stay in smp's encoders.
    decoder = _name(parts.get("decoder", "unet"))
    deeper = r"encoder\.(layer[34]|patch_embed[34]|block[34]|norm[34]|features\.(1[1-9]|20)|model\.stages_[23])\."
    patterns = [pattern for pattern in (unread, deeper if decoder == "pspnet" else None) if pattern]
    for name, parameter in network.named_parameters():
        if parameter.grad is None:
            assert any(re.match(pattern, name) for pattern in patterns), f"{name} has no gradient"
        else:
            assert parameter.grad.isfinite().all(), f"{name} has a gradient that is not finite"


@pytest.mark.parametrize("parts", networks(), ids=described)
def test_every_part_keeps_the_contract(parts: Parts) -> None:
    network = build(parts)
    torch.manual_seed(1)
    output = network(torch.rand(3, 3, 64, 64), torch.tensor([0, 1, 2]))
    assert output.masks.shape == (3, 1, 64, 64)
    assert (output.labels is not None) == has_head(parts)
    assert output.labels is None or output.labels.shape == (3, 3)
    loss_of(output).backward()
    assert_every_parameter_learns(network, parts)

    network.eval()
    other = build(parts, seed=1).eval()
    odd = torch.rand(1, 3, 71, 53)
    with torch.inference_mode():
        first, second = network(odd), network(odd)
        assert first.masks.shape == (1, 1, 71, 53)
        assert all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True)), "not deterministic"
        with torch.autocast("cpu", torch.bfloat16):
            assert all(part.isfinite().all() for part in tensors(network(odd))), "not finite in half precision"

        assert not torch.equal(other(odd).masks, first.masks)
        other.load_state_dict(network.state_dict())
        assert torch.equal(other(odd).masks, first.masks), "the state dict does not say everything"


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [pytest.param(*pair, marks=pytest.mark.slow) if pair[0] == "vgg11" else pair for pair in IMPOSSIBLE],
)
def test_a_pair_that_cannot_work_says_so_when_built(encoder: str, decoder: str) -> None:
    with pytest.raises(UserError, match="output stride") as caught:
        build({"encoder": encoder, "decoder": (decoder, {})})
    assert caught.value.problems[0].where == "model.encoder"


@pytest.mark.slow
@pytest.mark.parametrize(
    "parts",
    [
        *({"encoder": "resnet18", "decoder": (name, {})} for name in DECODERS),
        *({"encoder": "resnet18", "decoder": ("attention_unet", {}), "attention": (name, {})} for name in ATTENTION),
        *({"encoder": "resnet18", "bottleneck": (name, {})} for name in BOTTLENECKS),
        *({"encoder": "resnet18", "classification_head": (name, {})} for name in CLASSIFICATION_HEADS),
    ],
    ids=described,
)
def test_every_part_can_be_exported_and_answers_the_same(parts: Parts) -> None:
    network = build(parts).eval()
    images = torch.rand(1, 3, 128, 128)
    exported = torch.export.export(network, (images,)).module()
    with torch.inference_mode():
        own, theirs = network(images), exported(images)
    assert torch.allclose(own.masks, theirs[0], atol=1e-5)


@pytest.mark.parametrize("decoder", [name for name in DECODERS if not places_attention(name)])
def test_attention_reaches_whatever_skips_a_decoder_reads(decoder: str) -> None:
    parts = {"encoder": "resnet18", "decoder": (decoder, {}), "attention": ("se", {})}
    try:
        network = build(parts)
    except UserError as error:
        assert "no skip" in str(error)
        assert decoder in ("deeplabv3", "pspnet", "fcn32")
        return
    loss_of(network(torch.rand(2, 3, 64, 64))).backward()
    assert_every_parameter_learns(network, parts)


@pytest.mark.slow
def test_under_deep_supervision_every_coarser_output_learns() -> None:
    several = []
    for name in DECODERS:
        parts = {"encoder": "resnet18", "decoder": (name, {}), "deep_supervision": True}
        try:
            network = build(parts)
        except UserError as error:
            assert "one output" in str(error)
            continue
        several.append(name)
        images = torch.rand(1, 3, 64, 64)
        plain = build({**parts, "deep_supervision": False}).eval()
        with torch.inference_mode():
            assert network.eval()(images).sides == ()
            assert torch.equal(network(images).masks, plain(images).masks), "it changed the network itself"
        output = network.train()(torch.rand(2, 3, 71, 53))
        assert len(output.sides) == len(network.decoder.side_channels)
        assert all(side.shape == output.masks.shape for side in output.sides)
        loss_of(output).backward()
        assert_every_parameter_learns(network, parts)
    assert {"unetplusplus", "aca", "attention_unet", "unet_scratch"} <= set(several)


@pytest.mark.parametrize("decoder", list(DECODERS))
def test_masks_may_have_a_channel_for_every_diagnosis(decoder: str) -> None:
    network = build({"encoder": "resnet18", "decoder": (decoder, {})}, mask_channels=4).eval()
    with torch.inference_mode():
        output = network(torch.rand(1, 3, 64, 64))
    assert output.masks.shape == (1, 4, 64, 64)
    lesion = 1 - output.masks.softmax(dim=1)[:, :1]
    assert torch.allclose(output.foreground.sigmoid(), lesion, atol=1e-5)
