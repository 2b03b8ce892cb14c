"""What our own decoders, and the encoder from scratch, are made of; the contract of all is in test_network.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision.models
from torch import Tensor, nn

from models.aspp import ASPP
from models.attention.modules.aca import AcaAttention
from models.attention.modules.additive_gate import AdditiveGate
from models.attention.modules.ungated import Ungated
from models.decoders import DECODERS
from models.decoders.modules.full_convolution import BilinearUpsampling
from models.encoders.building import build_encoder
from models.network import Network
from utils.errors import UserError

U_SHAPED = ("unet_scratch", "attention_unet", "aca")
SCRATCH = ("unet_scratch", {"width": 8})


def network(decoder: str, encoder: object = "resnet18", *, seed: int = 0, **options: object) -> Network:
    torch.manual_seed(seed)
    return Network(encoder, (decoder, options), classes=3)


def features_of(model: Network, side: int = 64) -> list[Tensor]:
    with torch.no_grad():
        return model.encoder(torch.rand(2, 3, side, side))


# Fully convolutional


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_upsampling_begins_as_bilinear_interpolation_up_to_the_border(factor: int) -> None:
    scores = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    upsampling = BilinearUpsampling(3, factor)
    assert upsampling.kernel_size == (2 * factor, 2 * factor)
    assert upsampling.stride == (factor, factor)
    expected = F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    assert torch.allclose(upsampling(scores), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoder", "channels", "factor"), [("fcn8", [512, 512, 256], 8), ("fcn16", [512, 512], 16), ("fcn32", [512], 32)]
)
def test_fcn_scores_the_pooled_levels_of_a_vgg(decoder: str, channels: list[int], factor: int) -> None:
    model = network(decoder, "vgg11")
    head = model.segmentation_head
    assert [score.in_channels for score in head.scores] == channels
    assert [score.out_channels for score in head.scores] == [1] * len(channels)
    assert [doubling.stride for doubling in head.doublings] == [(2, 2)] * (len(channels) - 1)
    assert head.enlargement.stride == (factor, factor)

    # torchvision's own layers, cut after each pooling.
    layers = torchvision.models.vgg11(weights=None).features
    layers.load_state_dict(model.encoder.features.state_dict())
    feature = images = torch.rand(2, 3, 64, 64)
    pooled = []
    with torch.no_grad():
        for layer in layers:
            feature = layer(feature)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(feature)
        scored = model.decoder(model.encoder(images))
    expected = pooled[-1 : -len(channels) - 1 : -1]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(scored, expected, strict=True))


def test_fcn8_sums_as_in_the_paper() -> None:
    model = network("fcn8").eval()
    features = features_of(model)
    head = model.segmentation_head
    by_hand = []
    for feature, score in zip(features[:2:-1], head.scores, strict=True):
        weights = score.weight.detach()[..., 0, 0]
        by_hand.append(torch.einsum("sc,bchw->bshw", weights, feature) + score.bias.detach().view(1, -1, 1, 1))

    def larger(scores: Tensor, factor: int) -> Tensor:
        return F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)

    expected = larger(larger(larger(by_hand[0], 2) + by_hand[1], 2) + by_hand[2], 8)
    with torch.no_grad():
        assert torch.allclose(head(model.decoder(features)), expected, atol=1e-5)


def test_the_networks_initialisation_leaves_the_bilinear_weights_alone_and_training_does_not() -> None:
    model = network("fcn16")
    head = model.segmentation_head
    assert torch.equal(head.doublings[0].weight, BilinearUpsampling(1, 2).weight)
    assert torch.equal(head.enlargement.weight, BilinearUpsampling(1, 16).weight)
    model(torch.rand(2, 3, 64, 64)).masks.square().mean().backward()
    assert head.enlargement.weight.grad.abs().sum() > 0


def test_fcn_can_have_the_convolutions_of_a_classifier() -> None:
    model = network("fcn32", hidden=24, dropout=0.25)
    assert model.segmentation_head.scores[0].in_channels == 24
    kinds = [type(layer) for layer in model.decoder.deepest]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.Dropout2d] * 2
    assert {layer.p for layer in model.decoder.deepest if isinstance(layer, nn.Dropout2d)} == {0.25}
    assert not list(network("fcn32").decoder.parameters())


# Atrous pyramid


def test_aspp_concatenates_a_branch_for_every_rate() -> None:
    pyramid = ASPP(32, 24, rates=(1, 6, 12, 18))
    assert [branch.dilation for branch in pyramid.branches] == [(1, 1), (6, 6), (12, 12), (18, 18)]
    assert {(branch.in_channels, branch.out_channels, branch.kernel_size) for branch in pyramid.branches} == {
        (32, 24, (3, 3))
    }
    assert pyramid.norm.num_features == 96
    assert (pyramid.projection.in_channels, pyramid.projection.out_channels) == (96, 24)
    assert pyramid.projection.kernel_size == (1, 1)
    assert pyramid(torch.randn(2, 32, 2, 3)).shape == (2, 24, 2, 3)
    with pytest.raises(ValueError, match="rates"):
        ASPP(32, 24, rates=())


def test_a_branch_sees_as_far_as_its_rate() -> None:
    torch.manual_seed(0)
    pyramid = ASPP(1, 2, rates=(1, 3)).eval()
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = 1
    for branch, rate in zip(pyramid.branches, (1, 3), strict=True):
        rows = branch(image).detach().abs().sum((0, 1, 3)).numpy()
        assert np.flatnonzero(rows).tolist() == [4 - rate, 4, 4 + rate]


# U-shaped


def test_the_papers_network_from_scratch() -> None:
    model = Network(("unet_scratch", {}), ("unet_scratch", {"depth": 4}), classification_head=("none", {}))
    assert model.encoder.out_channels == [64, 128, 256, 512, 1024]
    assert [_channels(block.convolution) for block in model.decoder.blocks] == [
        (1024, 512),
        (512, 256),
        (256, 128),
        (128, 64),
    ]
    # The well-known implementation of it (milesial/Pytorch-UNet, three channels, one class) has as many parameters.
    assert sum(parameter.numel() for parameter in model.parameters()) == 31_037_633


def test_transposed_and_bilinear_enlargement() -> None:
    transposed, bilinear = (network("unet_scratch", SCRATCH, up=up) for up in ("transposed", "bilinear"))
    assert [block.up.out_channels for block in transposed.decoder.blocks] == [64, 64, 32, 16, 8]
    assert all(block.up is None for block in bilinear.decoder.blocks)
    # Nothing halves the feature from below.
    assert bilinear.decoder.blocks[0].convolution[0].in_channels == 128 + 128
    assert transposed.decoder.blocks[0].convolution[0].in_channels == 64 + 128


@pytest.mark.parametrize("decoder", U_SHAPED)
@pytest.mark.parametrize(
    ("encoder", "skips"),
    [
        ("resnet18", (1, 2, 3, 4)),
        ("mit_b0", (2, 3, 4)),
        pytest.param("vgg11", (0, 1, 2, 3, 4), marks=pytest.mark.slow),
        (SCRATCH, (0, 1, 2, 3, 4)),
    ],
)
def test_real_features_join_and_the_image_and_empty_levels_do_not(
    decoder: str, encoder: object, skips: tuple[int, ...]
) -> None:
    model = network(decoder, encoder).eval()
    assert model.decoder.skips == skips
    features = [feature.requires_grad_() for feature in features_of(model)]
    output = model.decoder(features)
    assert output.shape == (2, model.decoder.out_channels, 64, 64)
    gradients = torch.autograd.grad(output.square().sum(), features, allow_unused=True)
    assert tuple(level for level, gradient in enumerate(gradients[:-1]) if gradient is not None) == skips


def test_an_up_block_of_aca_is_enlargement_attention_concatenation_and_convolutions() -> None:
    model = network("aca", SCRATCH, aspp_channels=16, depth=3).eval()
    decoder = model.decoder
    features = features_of(model, side=32)
    with torch.no_grad():
        expected = decoder.deepest(features[-1])
        for block, skip in zip(decoder.blocks, features[-2::-1], strict=True):
            gate = F.interpolate(expected, scale_factor=2, mode="bilinear", align_corners=False)
            expected = block.convolution(torch.cat([block.attention(skip, gate), gate], dim=1))
        assert torch.allclose(decoder(features), expected, atol=1e-6)
    assert isinstance(decoder.deepest, ASPP)
    assert [branch.dilation[0] for branch in decoder.deepest.branches] == [1, 6, 12, 18]
    assert all(isinstance(block.attention, AcaAttention) for block in decoder.blocks)


def test_a_named_kind_takes_the_place_of_aca_s_attention() -> None:
    model = Network("resnet18", ("aca", {}), attention=("ag", {}))
    assert model.attention is None
    assert [type(block.attention) for block in model.decoder.blocks] == [AdditiveGate] * 4 + [type(None)]
    model = Network("resnet18", ("unet_scratch", {}), attention=("se", {}))
    assert [type(block.attention) for block in model.decoder.blocks] == [Ungated] * 4 + [type(None)]


def test_channels_follow_the_encoder_or_are_given() -> None:
    assert network("aca", "resnet18").decoder.side_channels == (256, 128, 64, 64)
    # Levels without a skip have half of what comes from below.
    by_encoder = network("unet_scratch", "mit_b0").decoder
    assert (*by_encoder.side_channels, by_encoder.out_channels) == (160, 64, 32, 16, 8)
    given = network("aca", channels=(40, 30, 20, 10), depth=4).decoder
    assert (*given.side_channels, given.out_channels) == (40, 30, 20, 10)
    for decoder in U_SHAPED:
        with pytest.raises(UserError, match="channels"):
            network(decoder, channels=(64, 32))


def test_attention_unet_s_blocks_are_residual() -> None:
    block = network("attention_unet").decoder.blocks[0].convolution.eval()
    feature = torch.randn(1, 512 + 256, 4, 4)
    with torch.no_grad():
        block.residual[-1].weight.zero_()  # the last normalisation: nothing is left of this branch
        assert torch.allclose(block(feature), block.shortcut(feature).relu())


@pytest.mark.parametrize("decoder", U_SHAPED)
def test_dropout_is_of_whole_channels_and_in_training_only(decoder: str) -> None:
    model = network(decoder, ("unet_scratch", {"width": 8, "dropout": 0.5}), dropout=0.5, depth=3)
    for part, blocks in ((model.encoder, 4), (model.decoder, 3)):
        probabilities = [layer.p for layer in part.modules() if isinstance(layer, nn.Dropout2d)]
        assert probabilities == [0.5] * blocks
    output = model.decoder(features_of(model, side=32))
    dropped = (output == 0).all(dim=(2, 3))
    assert dropped.any()
    assert not dropped.all()


# Deep supervision


@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0", SCRATCH])
@pytest.mark.parametrize("decoder", [*U_SHAPED, "unetplusplus"])
@pytest.mark.parametrize("depth", [3, 5])
def test_coarser_outputs_come_with_an_output_that_is_the_same(decoder: str, encoder: object, depth: int) -> None:
    model = network(decoder, encoder, depth=depth).eval()
    features = features_of(model)
    with torch.no_grad():
        sides, finest = model.decoder.with_sides(features)
        assert torch.equal(finest, model.decoder(features))
    assert sides
    assert tuple(side.shape[1] for side in sides) == model.decoder.side_channels
    assert all(side.shape[0] == 2 and 64 > side.shape[2] == side.shape[3] for side in sides)
    assert [side.shape[2] for side in sides] == sorted(side.shape[2] for side in sides)


@pytest.mark.parametrize(("encoder", "count", "side"), [("resnet18", 4, 32), ("mit_b0", 3, 16)])
def test_unetplusplus_supervises_its_nested_outputs(encoder: str, count: int, side: int) -> None:
    model = network("unetplusplus", encoder).eval()
    features = features_of(model)
    blocks = model.decoder.layers.blocks
    with torch.no_grad():
        sides, finest = model.decoder.with_sides(features)
        assert len(sides) == count
        assert {output.shape[2] for output in sides} == {side}
        # The first has the shortest way: from the next level up, and from the level itself.
        level = count - 1
        below, beside = features[6 - count], features[5 - count]
        assert torch.equal(sides[0], blocks[f"x_{level}_{level}"](below, beside))
        if encoder == "resnet18":
            assert torch.equal(finest, blocks["x_0_4"](sides[-1]))
    assert all(not block._forward_hooks for block in blocks.values())


@pytest.mark.parametrize("decoder", [*U_SHAPED, "unetplusplus"])
def test_deep_supervision_trains_the_coarser_outputs(decoder: str) -> None:
    torch.manual_seed(0)
    model = Network("resnet18", (decoder, {"depth": 3}), deep_supervision=True)
    output = model(torch.rand(2, 3, 40, 24))
    assert len(output.sides) == len(model.decoder.side_channels)
    assert all(side.shape == (2, 1, 40, 24) for side in output.sides)
    output.sides[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.side_heads[0].parameters())
    assert model.segmentation_head[0].weight.grad is None
    assert model.eval()(torch.rand(1, 3, 40, 24)).sides == ()


# DeepLab


def test_deeplab_of_layers_one_to_three() -> None:
    model = network("deeplabv3plus", "resnet50", depth=4, rates=(6, 12, 18))
    assert model.encoder.out_channels == [3, 64, 256, 512, 1024]
    assert model.stride == 16
    layers = model.decoder.layers
    pyramid = layers.aspp[0]
    branches = pyramid.convs
    assert [_channels(branch) for branch in branches] == [(1024, 256)] * 5
    dilations = [{c.dilation[0] for c in _convolutions(branch) if c.kernel_size == (3, 3)} for branch in branches]
    assert dilations == [set(), {6}, {12}, {18}, set()]
    assert _channels(pyramid.project) == (5 * 256, 256)
    assert _channels(layers.block1) == (256, 48)
    assert _channels(layers.block2) == (48 + 256, 256)
    with torch.no_grad():
        features = model.encoder(torch.rand(2, 3, 64, 64))
        assert features[-1].shape == (2, 1024, 4, 4)
        assert model.decoder(features).shape == (2, 256, 16, 16)
        assert model(torch.rand(2, 3, 70, 54)).masks.shape == (2, 1, 70, 54)


def test_deeplab_s_dilated_convolutions_can_be_plain() -> None:
    groups = {
        separable: [
            c.groups for c in _convolutions(network("deeplabv3plus", separable=separable).decoder.layers.aspp[0])
        ]
        for separable in (True, False)
    }
    assert max(groups[True]) == 512
    assert set(groups[False]) == {1}


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def _channels(module: nn.Module) -> tuple[int, int]:
    convolutions = _convolutions(module)
    return convolutions[0].in_channels, convolutions[-1].out_channels


# The encoder from scratch


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_the_encoder_from_scratch_doubles_its_channels_up_to_sixteen_times(depth: int) -> None:
    encoder = build_encoder("unet_scratch", depth, options={"width": 4})
    assert encoder.out_channels == [4, 8, 16, 32, 64, 64][: depth + 1]
    assert encoder.output_stride == 2**depth
    features = encoder(torch.rand(2, 3, 32, 64))
    assert [feature.shape for feature in features] == [
        (2, channels, 32 // 2**level, 64 // 2**level) for level, channels in enumerate(encoder.out_channels)
    ]


def test_the_encoder_from_scratch_cannot_be_dilated() -> None:
    with pytest.raises(UserError, match="max pooling"):
        Network(SCRATCH, ("deeplabv3", {}))
    # Four halvings reach stride 16 by themselves.
    assert Network(SCRATCH, ("deeplabv3plus", {"depth": 4})).stride == 16


@pytest.mark.parametrize("decoder", [*U_SHAPED, "fcn8", "fcn16", "fcn32"])
def test_mixed_precision_stays_finite(decoder: str) -> None:
    assert decoder in DECODERS
    model = network(decoder, SCRATCH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(torch.rand(2, 3, 32, 32))
    (output.masks.float().square().mean() + output.labels.float().square().mean()).backward()
    assert output.masks.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    with torch.no_grad():
        assert model.eval().half()(torch.rand(1, 3, 40, 24).half()).masks.isfinite().all()
