from __future__ import annotations

import re

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from models.decoders import DECODERS
from models.network import Network
from utils.errors import UserError

# The encoders of sweeps/encoders.yaml; the second half takes seconds each.
QUICK = (
    "resnet18",
    "se_resnet50",
    "densenet121",
    "efficientnet-b0",
    "mobilenet_v2",
    "tu-mobilenetv3_large_100",
    "shufflenet_v2_x1_0",
    "mit_b0",
    "tu-convnext_atto",
    "tu-regnety_008",
    "xception",
)
HEAVY = (
    "resnet34",
    "resnet50",
    "resnet101",
    "resnext50_32x4d",
    "densenet169",
    "vgg11_bn",
    "vgg16_bn",
    "efficientnet-b1",
    "efficientnet-b2",
    "efficientnet-b3",
    "efficientnet-b4",
    "efficientnet-b5",
    "efficientnet-b6",
)

# Layers that smp's encoder carries along though no feature depends on them.
WITHOUT_GRADIENT = {"efficientnet": r"encoder\.(_conv_head|_bn1)\."}

# Pairs that cannot work: smp halves by pooling there, which dilation cannot replace.
IMPOSSIBLE = [
    ("vgg11_bn", "pan"),
    *(
        (encoder, decoder)
        for encoder in ("densenet121", "xception")
        for decoder in ("deeplabv3", "deeplabv3plus", "pan")
    ),
]


def network(encoder: str = "resnet18", decoder: str = "unet", seed: int = 0, **options: object) -> Network:
    torch.manual_seed(seed)
    return Network(encoder, (decoder, options), classes=3)


def assert_gradients(model: Network, expected_without: str | None = None) -> None:
    torch.manual_seed(1)
    output = model(torch.rand(2, 3, 64, 64))
    assert output.masks.shape == (2, 1, 64, 64)
    assert output.labels is not None
    assert output.labels.shape == (2, 3)
    (output.masks.square().mean() + output.labels.square().mean()).backward()
    for name, parameter in model.named_parameters():
        if expected_without and re.match(expected_without, name):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("encoder", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)])
def test_every_encoder_of_the_shipped_sweep_keeps_the_contract(encoder: str) -> None:
    model = network(encoder)
    assert_gradients(model, WITHOUT_GRADIENT.get(encoder.partition("-")[0]))

    model.eval()
    images = torch.rand(1, 3, 70, 54)
    with torch.inference_mode():
        first, second = model(images), model(images)
    assert first.masks.shape == (1, 1, 70, 54)
    assert torch.equal(first.masks, second.masks)
    assert torch.equal(first.labels, second.labels)

    other = network(encoder, seed=1).eval()
    with torch.inference_mode():
        assert not torch.equal(other(images).masks, first.masks)
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(images).masks, first.masks)


@pytest.mark.parametrize("decoder", list(DECODERS))
@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0", pytest.param("tu-convnext_atto", marks=pytest.mark.slow)])
def test_every_decoder_keeps_the_contract(encoder: str, decoder: str) -> None:
    # Levels below the decoder's depth stay in smp's encoders; nothing reads them.
    deeper = r"encoder\.(layer[34]|patch_embed[34]|block[34]|norm[34])\." if decoder == "pspnet" else None
    model = network(encoder, decoder)
    assert_gradients(model, deeper)
    with torch.inference_mode():
        assert model.eval()(torch.rand(1, 3, 70, 54)).masks.shape == (1, 1, 70, 54)


@pytest.mark.parametrize(("encoder", "decoder"), IMPOSSIBLE)
def test_a_pair_that_cannot_work_says_so_when_built(encoder: str, decoder: str) -> None:
    with pytest.raises(UserError, match="output stride") as caught:
        network(encoder, decoder)
    assert caught.value.problems[0].where == "model.encoder"


@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0", pytest.param("vgg11_bn", marks=pytest.mark.slow)])
def test_under_one_seed_it_is_smps_own_unet(encoder: str) -> None:
    torch.manual_seed(7)
    reference = smp.Unet(encoder, encoder_weights=None, classes=1, aux_params={"classes": 3, "dropout": 0.2})
    model = network(encoder, seed=7)
    own, theirs = list(model.state_dict().values()), list(reference.state_dict().values())
    assert len(own) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(own, theirs, strict=True))

    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        masks, labels = reference.eval()((images - model.mean) / model.std)
        output = model.eval()(images)
    assert torch.equal(output.masks, masks)
    assert torch.equal(output.labels, labels)


SMP_MODELS = {
    "unetplusplus": smp.UnetPlusPlus,
    "manet": smp.MAnet,
    "linknet": smp.Linknet,
    "fpn": smp.FPN,
    "pspnet": smp.PSPNet,
    "pan": smp.PAN,
    "segformer": smp.Segformer,
    "upernet": smp.UPerNet,
    "deeplabv3": smp.DeepLabV3,
    "deeplabv3plus": smp.DeepLabV3Plus,
}


@pytest.mark.parametrize("decoder", list(SMP_MODELS))
def test_with_the_same_weights_it_answers_as_smps_model(decoder: str) -> None:
    reference = SMP_MODELS[decoder]("resnet18", encoder_weights=None, classes=2, aux_params={"classes": 3}).eval()
    torch.manual_seed(0)
    model = Network("resnet18", (decoder, {}), classes=3, mask_channels=2).eval()
    keys = list(model.state_dict())
    model.load_state_dict(dict(zip(keys, reference.state_dict().values(), strict=True)))
    images = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        masks, labels = reference((images - model.mean) / model.std)
        output = model(images)
    assert torch.allclose(output.masks, masks, atol=1e-5)
    assert torch.allclose(output.labels, labels, atol=1e-5)


def test_grey_images_are_the_same_as_three_equal_channels() -> None:
    model = network("shufflenet_v2_x0_5").eval()
    grey = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model(grey).masks, model(grey.expand(-1, 3, -1, -1)).masks)


def test_padding_adds_only_the_mean_colour_to_the_right_and_bottom() -> None:
    model = network("shufflenet_v2_x0_5").eval()
    images = torch.rand(1, 3, 50, 40)
    padded = model.mean.expand(1, 3, 64, 64).clone()
    padded[..., :50, :40] = images
    with torch.inference_mode():
        assert torch.allclose(model(images).masks, model(padded).masks[..., :50, :40], atol=1e-5)


def test_without_a_classification_head_there_are_no_labels() -> None:
    model = Network("shufflenet_v2_x0_5", classification_head=False)
    assert model(torch.rand(2, 3, 32, 64)).labels is None
    assert not any("classification" in key for key in model.state_dict())


def test_a_frozen_encoder_keeps_weights_and_statistics_in_training_and_thaws() -> None:
    model = network("mobilenet_v2")
    model.freeze_encoder()
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    output = model(torch.rand(2, 3, 64, 64))
    (output.masks.square().mean() + output.labels.square().mean()).backward()
    optimizer.step()
    changed = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"decoder", "segmentation_head", "classification_head"}
    assert model.decoder.training

    model.freeze_encoder(False)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.encoder.modules())
    model.eval()
    model.freeze_encoder(False)
    assert not model.encoder.training


def test_statistics_follow_the_encoder_and_stay_out_of_checkpoints() -> None:
    model = network("shufflenet_v2_x0_5")
    assert model.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert not {"mean", "std"} & set(model.state_dict())


def test_fewer_levels_are_an_option_of_the_decoder() -> None:
    model = network("resnet18", "unet", depth=3)
    assert model.stride == 8
    assert len(model.decoder.layers.blocks) == 3
    assert model(torch.rand(2, 3, 24, 40)).masks.shape == (2, 1, 24, 40)
    with pytest.raises(UserError, match="channels"):
        network("resnet18", "unet", channels=(64, 32))


def test_batch_norm_momentum_is_set_everywhere_or_left_alone() -> None:
    def momenta(network: Network) -> set[float | None]:
        batch_norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        return {None if module.momentum is None else round(module.momentum, 6) for module in batch_norms}

    assert momenta(Network("efficientnet-b0")) == {0.01, 0.1}
    assert momenta(Network("efficientnet-b0", batch_norm_momentum=0.2)) == {0.2}
