"""Whether a network can be trained is found out without training it, whatever the reason that it cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.preflight.network import check_network
from experiments.sweep import Settings
from experiments.training.network import network_cost
from models.bottlenecks import BOTTLENECKS

SMALL = {"encoder": "tu-test_resnet", "encoder_weights": "none"}


def settings(model: dict[str, Any] | None = None, size: int = 32, **training: Any) -> Settings:
    return Settings.model_validate(
        {
            "dataset": {"image_size": size},
            "model": {**SMALL, **(model or {})},
            "training": {"batch_size": 4, **training},
        }
    )


class LooksAtValues(nn.Module):
    """A bottleneck that the meta device cannot go through, though nothing is wrong with it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, feature: Tensor) -> Tensor:
        return feature * self.scale if float(feature.abs().max().detach()) >= 0 else feature


class WrongChannels(nn.Module):
    """A bottleneck that no decoder can work with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels + 1, 1)

    def forward(self, feature: Tensor) -> Tensor:
        return self.convolution(feature)


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bottlenecks that a user might have written, for the length of a test."""
    for name, kind in (("looks_at_values", LooksAtValues), ("wrong_channels", WrongChannels)):
        monkeypatch.setitem(BOTTLENECKS._entries, name, kind)


def test_a_network_that_can_be_trained_has_its_memory_and_no_reason() -> None:
    check = check_network(settings(), 3, "cpu")
    assert check.reason == ""
    assert check.memory is not None
    assert check.memory.peak > check.memory.network
    assert check_network(settings(lr=0.5), 3, "cpu") is check, "what plays no part is not tried twice"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"encoder": "vgg11", "decoder": "deeplabv3"}, "output stride"),
        ({"decoder": "deeplabv3", "deep_supervision": True}, "one output only"),
        ({"decoder": "fcn32", "attention": "se"}, "no skip"),
    ],
)
def test_parts_that_do_not_fit_together_say_why(model: dict[str, Any], reason: str) -> None:
    check = check_network(settings(model), 3, "cpu")
    assert check.memory is None
    assert reason in check.reason


def test_a_batch_of_one_that_batch_normalisation_cannot_train_on_is_found() -> None:
    model = {"encoder": "resnet18", "decoder": "deeplabv3"}
    check = check_network(settings(model, batch_size=1), 3, "cpu")
    assert "more than 1 value per channel" in check.reason
    assert check_network(settings(model, batch_size=2), 3, "cpu").memory is not None


@pytest.mark.parametrize("amp", ["auto", "bf16", "fp16"])
def test_mixed_precision_takes_less_where_it_is_used(amp: str) -> None:
    full = check_network(settings(size=128, amp="none"), 3, "cuda").memory
    mixed = check_network(settings(size=128, amp=amp), 3, "cuda").memory
    assert full is not None
    assert mixed is not None
    assert mixed.saved < full.saved


def test_a_copy_that_waits_for_its_checkpoint_takes_memory_of_the_host() -> None:
    for device, copies in (("cpu", 1), ("cuda", 0)):
        always, seldom = (check_network(settings(checkpoint_overhead=share), 3, device).memory for share in (1.0, 0.02))
        assert always is not None and seldom is not None
        assert always.network > 0 and seldom.peak - always.peak == copies * always.network


@pytest.mark.usefixtures("extensions")
def test_a_network_that_looks_at_its_values_is_tried_with_values() -> None:
    plain = check_network(settings(batch_size=16), 3, "cpu").memory
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    check = check_network(settings({"bottleneck": "looks_at_values"}, batch_size=16), 3, "cpu")
    assert torch.equal(torch.rand(1), expected), "no random number of the driver's is used up"
    assert check.reason == ""
    assert check.memory is not None
    assert plain is not None
    assert check.memory.saved == pytest.approx(plain.saved, rel=0.1)
    assert check.memory.peak >= plain.peak


@pytest.mark.usefixtures("extensions")
def test_an_extension_that_does_not_fit_is_found_with_what_torch_says_of_it() -> None:
    check = check_network(settings({"bottleneck": "wrong_channels"}), 3, "cpu")
    assert check.memory is None
    assert check.reason.startswith("RuntimeError: ")
    assert "channels" in check.reason
    assert "\n" not in check.reason


@pytest.mark.parametrize(
    ("model", "device"),
    [({}, "cpu"), ({}, "cuda"), ({"encoder": "mit_b0"}, "cpu")],
    ids=["convolutions", "mixed precision", "attention"],
)
def test_operations_are_counted_on_the_way(model: dict[str, Any], device: str) -> None:
    tried = settings(model, size=64)
    cost = network_cost(tried.model, 3, tried.dataset.height_width)
    assert check_network(tried, 3, device).gflops == pytest.approx(cost.gflops)
