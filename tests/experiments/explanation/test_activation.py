"""Class activation maps, against the formula of the paper, and on networks of every kind."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from experiments.explanation import ActivationMaps, attention_maps, energy_inside
from experiments.explanation.layers import layer_named
from models.network import Network
from utils.errors import UserError

pytest.importorskip("pytorch_grad_cam")


def network(**parts: Any) -> Network:
    torch.manual_seed(0)
    parts.setdefault("decoder", ("unet", {"channels": (16,) * 5}))
    made = Network("tu-test_resnet", classes=3, **parts).eval()
    if made.classification_head is not None:
        # Every channel speaks for every diagnosis: no map is empty by chance.
        for part in made.classification_head.modules():
            if isinstance(part, nn.Linear):
                part.weight.data.abs_()
    return made


def images(height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(1))


def test_grad_cam_of_the_diagnosis_is_the_formula_of_the_paper() -> None:
    asked = network()
    with torch.no_grad():
        feature = asked.bottleneck(asked.encoder(asked._normalised_and_padded(images()))[-1])
    # Average pooling and one linear layer: the gradient of a logit is its weight, the same at every position.
    linear = next(part for part in asked.classification_head.modules() if isinstance(part, nn.Linear))
    raw = torch.einsum("c,chw->hw", linear.weight[2].detach(), feature[0]).relu().numpy()
    expected = cv2.resize(raw, (96, 64))
    np.testing.assert_allclose(ActivationMaps(asked)(images(), "diagnosis", 2), expected / expected.max(), atol=1e-4)


def test_the_mask_is_explained_by_the_gradient_of_its_mean_logit() -> None:
    asked = network().requires_grad_(False)
    with torch.no_grad():
        nn.init.constant_(asked.segmentation_head[0].bias, 0.0)
    found: list[torch.Tensor] = []
    handle = asked.bottleneck.register_forward_hook(lambda _, inputs, output: found.append(output))
    output = asked(images().requires_grad_())
    handle.remove()
    logits = output.foreground[0, 0]
    assert 0 < (logits > 0).sum() < logits.numel()
    (gradient,) = torch.autograd.grad(logits[logits > 0].mean(), found[0])
    raw = (gradient.mean(dim=(2, 3), keepdim=True) * found[0]).sum(dim=1)[0].relu().detach().numpy()
    expected = cv2.resize(raw, (96, 64))
    made = ActivationMaps(asked, layers=["bottleneck"])(images(), "segmentation")
    np.testing.assert_allclose(made, expected / expected.max(), atol=1e-3)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++"])
@pytest.mark.parametrize("layers", [(), ("3",), ("2", "encoder.model.layer4.0.bn1")])
def test_every_map_lies_over_its_image_whatever_was_padded(method: Any, layers: tuple[str, ...]) -> None:
    maps = ActivationMaps(network(), method, layers)
    assert maps.aims == ("diagnosis", "segmentation")
    for aim in maps.aims:
        map = maps(images(50, 70), aim, 1)
        assert map.shape == (50, 70) and map.min() >= 0 and 0.2 < map.max() <= 1


def test_a_map_that_is_the_same_everywhere_is_not_lost() -> None:
    made = ActivationMaps(network())(images(32, 32), "diagnosis")  # the deepest feature is one position
    assert np.all(made == 1)


def test_a_module_that_works_in_place_does_not_overwrite_what_was_looked_at() -> None:
    asked = network()
    changes = {name for name, part in asked.named_modules() if getattr(part, "inplace", False)}
    assert changes, "the encoder has none of these any more: the test shows nothing"
    before = asked(images()).masks
    seen: list[torch.Tensor] = []
    with layer_named(asked, "encoder.model.layer4.0.bn1").tapped() as tap:
        tap.register_forward_hook(lambda _, inputs, output: seen.append(output))
        assert torch.equal(asked(images()).masks, before)
    assert float(seen[0].detach().min()) < 0, "cut off by the activation function that follows"
    seen.clear()
    asked(images())
    assert not seen, "the network is as it was"


def test_what_has_no_say_is_not_explained() -> None:
    assert ActivationMaps(network(), layers=["decoder"]).aims == ("segmentation",)
    assert ActivationMaps(network(classification_head=("none", {}))).aims == ("segmentation",)
    with pytest.raises(UserError, match="no map of"):
        ActivationMaps(network(), layers=["classification_head"])


def test_a_wrong_layer_is_answered_with_the_right_ones() -> None:
    with pytest.raises(UserError) as raised:
        layer_named(network(), "encoder.model.layr4")
    (problem,) = raised.value.problems
    assert problem.nearest == "encoder.model.layer4" and {"1", "5", "encoder.model.layer1"} <= set(problem.choices)
    with pytest.raises(UserError, match="no such layer"):
        layer_named(network(), "0")


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({}, set()),
        ({"bottleneck": ("cbam", {})}, {"bottleneck.spatial"}),
        ({"bottleneck": ("dual_domain_cbam", {})}, {"bottleneck.1.spatial"}),
        ({"attention": ("cbam", {})}, {f"attention.levels.{level}.layers.spatial" for level in range(1, 5)}),
        ({"decoder": ("attention_unet", {"channels": (16,) * 5}), "attention": ("ag", {})}, 4),
    ],
)
def test_gates_and_cbam_are_read(parts: dict[str, Any], names: set[str] | int) -> None:
    found = attention_maps(network(**parts), images(50, 70))
    assert len(found) == names if isinstance(names, int) else set(found) == names
    for map in found.values():
        assert map.shape == (50, 70) and 0 <= map.min() < map.max() <= 1


def test_an_open_gate_is_a_map_of_its_coefficients() -> None:
    asked = network(decoder=("attention_unet", {"channels": (16,) * 5}), attention=("ag", {}))
    for name, part in asked.named_modules():
        if name.endswith("coefficient"):
            nn.init.zeros_(part.weight)
            nn.init.constant_(part.bias, 3.0)
    maps = attention_maps(asked, images())
    assert maps and all(np.allclose(map, 1 / (1 + np.exp(-3.0)), atol=1e-6) for map in maps.values())


def test_energy_is_the_share_inside() -> None:
    activation = np.zeros((4, 4), np.float32)
    activation[0] = 1
    activation[1] = 3
    lesion = np.zeros((4, 4), bool)
    lesion[1, :2] = True
    assert energy_inside(activation, lesion) == pytest.approx(6 / 16)
    assert energy_inside(np.ones((4, 4), np.float32), lesion) == pytest.approx(lesion.mean())
    assert np.isnan(energy_inside(activation, np.zeros((4, 4), bool)))
    assert np.isnan(energy_inside(np.zeros((4, 4), np.float32), lesion))
