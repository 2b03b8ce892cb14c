from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from models.network import Network
from utils.errors import UserError


def network(encoder: str = "resnet18", decoder: str = "unet", seed: int = 0, **options: object) -> Network:
    torch.manual_seed(seed)
    return Network(encoder, (decoder, options), classes=3)


@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0", pytest.param("densenet121", marks=pytest.mark.slow)])
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


def test_a_vgg_starts_from_the_distribution_of_smps_and_answers_as_smps_with_its_weights() -> None:
    """Not from its numbers, under one seed: none are drawn for the classifier that smp drops."""
    torch.manual_seed(7)
    reference = smp.Unet("vgg11_bn", encoder_weights=None, classes=1, aux_params={"classes": 3, "dropout": 0.2})
    model = network("vgg11_bn")
    own, theirs = model.state_dict(), reference.state_dict()
    assert len(own) == len(theirs)
    for (name, a), b in zip(own.items(), theirs.values(), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, name
        if a.numel() > 1000:
            assert float(a.std()) == pytest.approx(float(b.std()), rel=0.1), name
            assert abs(float(a.mean() - b.mean())) < 0.1 * float(b.std()), name
        elif not name.endswith(("weight", "bias")):
            assert torch.equal(a, b), name
    model.load_state_dict(dict(zip(own, theirs.values(), strict=True)))
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        masks, labels = reference.eval()((images - model.mean) / model.std)
        output = model.eval()(images)
    assert torch.equal(output.masks, masks) and torch.equal(output.labels, labels)


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
    model = Network("shufflenet_v2_x0_5", classification_head=("none", {}))
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
