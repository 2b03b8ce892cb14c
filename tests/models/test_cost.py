from __future__ import annotations

import pytest
import torch
import torchvision

from models.cost import cost, cost_of
from models.encoders.building import build_encoder
from models.network import Network


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x1_0", "efficientnet_b0", "convnext_tiny"])
def test_equals_the_figures_that_torchvision_publishes(name: str) -> None:
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    found = cost(lambda: getattr(torchvision.models, name)(), (224, 224))
    assert found.params_millions == published["num_params"] / 1e6
    # torchvision counts a multiplication and an addition as one, and rounds to three digits.
    assert found.gflops == pytest.approx(2 * published["_ops"], abs=0.0011)


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "shufflenet_v2_x1_0"])
def test_an_encoder_is_torchvisions_network_without_the_classifier(name: str) -> None:
    def whole() -> torch.nn.Module:
        network = getattr(torchvision.models, name)(weights=None)
        for classifier in ("fc", "classifier"):
            if hasattr(network, classifier):
                delattr(network, classifier)
        return network

    with torch.device("meta"):
        expected = sum(parameter.numel() for parameter in whole().parameters()) / 1e6
    assert cost(lambda: build_encoder(name), (64, 64)).params_millions == expected


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("tu-convnext_atto", "efficientnet-b0")]


@pytest.mark.parametrize("encoder", ["mit_b0", *SLOW])
def test_a_network_costs_the_same_as_one_with_memory(encoder: str) -> None:
    found = cost(lambda: Network(encoder, classes=3), (64, 96))
    model = Network(encoder, classes=3)
    unused = ("encoder._conv_head.", "encoder._bn1.")
    used = sum(p.numel() for name, p in model.named_parameters() if not name.startswith(unused))
    assert found.params_millions == used / 1e6
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.rand(1, 3, 64, 96))
    assert found.gflops == counter.get_total_flops() / 1e9
    assert cost_of(model, torch.rand(1, 3, 64, 96)) == found


def test_operations_grow_with_the_area_and_parameters_do_not() -> None:
    small, large = (cost(lambda: Network("resnet18"), (side, side)) for side in (64, 128))
    assert large.params_millions == small.params_millions
    # All but the classifier's is convolution.
    assert large.gflops == pytest.approx(4 * small.gflops, rel=1e-4)


def test_levels_that_no_decoder_reads_are_not_counted() -> None:
    model = Network("resnet18", ("pspnet", {"depth": 3}))
    read = [p for name, p in model.named_parameters() if not name.startswith(("encoder.layer3", "encoder.layer4"))]
    assert len(read) < len(list(model.parameters()))
    found = cost(lambda: Network("resnet18", ("pspnet", {"depth": 3})), (64, 64))
    assert found.params_millions == sum(parameter.numel() for parameter in read) / 1e6


def test_it_takes_no_memory() -> None:
    devices = set()

    def build() -> Network:
        network = Network("resnet50")
        devices.update(parameter.device.type for parameter in network.parameters())
        return network

    assert cost(build, (256, 256)).params_millions > 20
    assert devices == {"meta"}
