from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from torch.utils._python_dispatch import TorchDispatchMode

from models.encoders import check_encoder, encoder_names
from models.encoders.building import build_encoder
from models.encoders.encoder import Encoder
from models.encoders.names import SMP_ENCODERS
from models.encoders.statistics import DPN, IMAGENET, INCEPTION, input_statistics
from utils.errors import UserError

ROOT = Path(__file__).parents[2]


def test_the_table_of_names_is_that_of_the_installed_smp() -> None:
    assert tuple(smp.encoders.get_encoder_names()) == SMP_ENCODERS


def test_names_are_all_of_smps_and_our_own() -> None:
    assert encoder_names() == (*SMP_ENCODERS, "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "unet_scratch")


def test_checking_a_name_of_smps_imports_neither_torch_nor_timm() -> None:
    code = (
        "import sys; from models.encoders import check_encoder; check_encoder('efficientnet-b6');"
        "from models.encoders.statistics import input_statistics; input_statistics('resnet18');"
        "print([name for name in ('torch', 'timm', 'segmentation_models_pytorch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_checking_a_decoder_and_its_options_imports_no_torch() -> None:
    code = (
        "import sys; from models.decoders import DECODERS; DECODERS.check('unet', {'depth': 4});"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_importing_the_registries_imports_torch_but_neither_smp_nor_timm() -> None:
    code = (
        "import sys; import models.decoders, models.bottlenecks, models.network;"
        "print([name for name in ('timm', 'segmentation_models_pytorch', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Drawn(TorchDispatchMode):
    """Counts the random numbers that are drawn under it."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default) and not args[0].is_meta:
            self.numbers += args[0].numel()
        return func(*args, **(kwargs or {}))


def test_nothing_is_drawn_for_the_classifier_that_a_vgg_is_cut_from_and_the_features_are_torchvisions() -> None:
    with Drawn() as drawn:
        encoder = build_encoder("vgg11_bn")
    assert isinstance(encoder, torch.nn.Module)
    own = [*encoder.parameters(), *encoder.buffers()]
    weights = sum(tensor.numel() for tensor in own)
    assert weights < drawn.numbers < 2.1 * weights, "torchvision draws weights twice"
    assert {tensor.device.type for tensor in own} == {"cpu"}
    whole = torchvision.models.vgg11_bn(weights=None)
    images = torch.rand(1, 3, 64, 64)
    encoder.load_state_dict(whole.state_dict())
    assert torch.equal(encoder.eval()(images)[-1], whole.eval().features(images))


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x1_0", "tu-convnext_atto", "tu-resnet18.a1_in1k"])
def test_valid_names_pass(name: str) -> None:
    check_encoder(name)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("resnt18", "resnet18"),
        ("shufflenet_v2_1_0", "shufflenet_v2_x1_0"),
        ("tu-convnext_ato", "tu-convnext_atto"),
        ("convnext_atto", "tu-convnext_atto"),
        ("tu-resnet18.a1_in2k", "tu-resnet18.a1_in1k"),
        ("qqqqqqqq", ""),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UserError) as caught:
        check_encoder(name)
    problem = caught.value.problems[0]
    assert (problem.where, problem.value, problem.nearest) == ("model.encoder", name, nearest)


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("dpn68", "dpn68"),
        ("inceptionv4", "inception_v4"),
        ("inceptionresnetv2", "inception_resnet_v2"),
        ("xception", "legacy_xception"),
        ("timm-tf_efficientnet_lite0", "tf_efficientnet_lite0"),
        ("timm-skresnet18", "skresnet18"),
        ("resnet18", "resnet18"),
        ("densenet121", "densenet121"),
        ("mobileone_s0", "mobileone_s0"),
    ],
)
def test_statistics_are_those_that_timm_has_for_the_same_network(name: str, twin: str) -> None:
    settings = timm.get_pretrained_cfg(twin)
    mean, std = input_statistics(name)
    assert mean == pytest.approx(settings.mean)
    assert std == pytest.approx(settings.std)


def test_statistics_of_timms_models_are_timms() -> None:
    assert input_statistics("tu-convnext_atto") == IMAGENET
    assert input_statistics("tu-legacy_xception") == INCEPTION
    assert input_statistics("tu-dpn68")[0] == pytest.approx(DPN[0])


@pytest.mark.parametrize("depth", [1, 3, 5])
@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "shufflenet_v2_x1_0"])
def test_shufflenet_has_smps_encoder_interface(name: str, depth: int) -> None:
    encoder = build_encoder(name, depth)
    assert isinstance(encoder, Encoder)
    features = encoder(torch.rand(2, 3, 64, 96))
    assert [feature.shape[1] for feature in features] == encoder.out_channels
    assert [tuple(feature.shape[2:]) for feature in features] == [(64 >> i, 96 >> i) for i in range(depth + 1)]
    assert encoder.output_stride == 2**depth


def test_shufflenet_computes_what_torchvisions_does() -> None:
    network = torchvision.models.shufflenet_v2_x0_5(weights=None).eval()
    encoder = build_encoder("shufflenet_v2_x0_5")
    encoder.load_state_dict(network.state_dict())  # with the classifier, which is left out
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        deepest = encoder.eval()(images)[-1]
        assert torch.equal(network.fc(deepest.mean([2, 3])), network(images))


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "resnet18", "mobilenet_v2", "tu-mobilenetv3_small_050"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilation_keeps_resolution(name: str, output_stride: int) -> None:
    encoder = build_encoder(name, output_stride=output_stride)
    assert encoder.output_stride == output_stride
    deepest = encoder(torch.rand(2, 3, 64, 64))[-1]
    assert deepest.shape[2:] == (64 // output_stride, 64 // output_stride)


@pytest.mark.parametrize(
    ("name", "request_", "reason"),
    [
        ("resnet18", {"depth": 6}, "depth"),
        ("shufflenet_v2_x0_5", {"depth": 0}, "depth"),
        ("shufflenet_v2_x0_5", {"output_stride": 4}, "output stride"),
        ("densenet121", {"output_stride": 16}, "dilated"),
        ("tu-vit_tiny_patch16_224", {}, "downsampling"),
    ],
)
def test_what_cannot_be_built_is_the_users_error(name: str, request_: dict[str, int], reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        build_encoder(name, **request_)
    assert caught.value.problems[0].where == "model.encoder"
