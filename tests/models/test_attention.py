from __future__ import annotations

import numpy as np
import pytest
import torch
from segmentation_models_pytorch.base.modules import SCSEModule
from timm.layers.cbam import CbamModule
from timm.layers.coord_attn import CoordAttn
from timm.layers.eca import EcaModule
from timm.layers.global_context import GlobalContext
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn

from models.attention import ATTENTION
from models.network import Network
from utils.errors import UserError

KINDS = [name for name in ATTENTION if name != "none"]


def numbers(parameter: Tensor) -> np.ndarray:
    return parameter.detach().double().numpy()


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def redrawn(module: nn.Module) -> nn.Module:
    """With every parameter drawn anew, so that none hides at 0 or 1, and in eval mode."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
    return module.eval()


@pytest.fixture
def skip() -> Tensor:
    return torch.randn(2, 8, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def gate() -> Tensor:
    return torch.randn(2, 6, 5, 7, generator=torch.Generator().manual_seed(1))


def test_none_is_no_module() -> None:
    assert ATTENTION["none"](64, 32) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [8, 16, 24])
def test_every_kind_keeps_the_shape_and_gives_every_parameter_a_gradient(kind: str, channels: int) -> None:
    torch.manual_seed(0)
    attention = ATTENTION[kind](channels, 12)
    skip = torch.randn(2, channels, 6, 4, requires_grad=True)
    output = attention(skip, torch.randn(2, 12, 6, 4))
    assert output.shape == (2, channels, 6, 4)
    output.square().mean().backward()
    tensors = [skip, *attention.parameters()]
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in tensors)
    assert skip.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_large_features_stay_finite_in_half_precision(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    attention = ATTENTION[kind](16, 16).eval().to(dtype)
    # The sum of squares of one channel, 64 * 64 * 30 ** 2, is fifty times the largest number of half precision.
    skip = (30 * torch.randn(1, 16, 64, 64)).to(dtype)
    output = attention(skip, skip)
    assert output.dtype == dtype
    assert output.isfinite().all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("ag", "aca")])
def test_kinds_that_look_at_the_skip_alone_leave_the_gate_aside(kind: str, skip: Tensor, gate: Tensor) -> None:
    torch.manual_seed(0)
    attention = redrawn(ATTENTION[kind](8, 6))
    assert torch.equal(attention(skip, gate), attention(skip, None))
    assert not torch.allclose(attention(skip, None), skip)


@pytest.mark.parametrize("kind", ["ag", "aca"])
def test_gated_kinds_listen_to_the_gate(kind: str, skip: Tensor, gate: Tensor) -> None:
    torch.manual_seed(0)
    attention = redrawn(ATTENTION[kind](8, 6))
    assert not torch.allclose(attention(skip, gate), attention(skip, -gate))


def test_a_gate_that_is_missing_is_the_users_error_and_names_the_decoders_that_have_one() -> None:
    with pytest.raises(UserError, match="gate") as caught:
        Network("resnet18", ("unet", {}), attention=("ag", {}))
    [problem] = caught.value.problems
    assert problem.where == "model.attention"
    assert {"attention_unet", "aca", "unet_scratch"} <= set(problem.choices)
    assert "unet" not in problem.choices


def test_the_additive_gate_is_the_papers(skip: Tensor, gate: Tensor) -> None:
    torch.manual_seed(0)
    attention = redrawn(ATTENTION["ag"](8, 6))
    x, g = numbers(skip), numbers(gate)
    of_x = np.einsum("fc,bchw->bfhw", numbers(attention.of_skip.weight)[..., 0, 0], x)
    of_g = np.einsum("fc,bchw->bfhw", numbers(attention.of_gate.weight)[..., 0, 0], g)
    inner = np.maximum(of_x + of_g + numbers(attention.of_gate.bias)[:, None, None], 0)
    psi = np.einsum("f,bfhw->bhw", numbers(attention.coefficient.weight)[0, :, 0, 0], inner)
    expected = x * sigmoid(psi + numbers(attention.coefficient.bias))[:, None]
    np.testing.assert_allclose(numbers(attention(skip, gate)), expected, atol=1e-5)


def test_the_additive_gate_begins_nearly_open(skip: Tensor, gate: Tensor) -> None:
    torch.manual_seed(0)
    passed = ATTENTION["ag"](8, 6)(skip, gate) / skip
    assert passed.min() > 0.8
    assert passed.max() < 1


@pytest.mark.parametrize("gated", [True, False])
def test_aca_is_its_formula(gated: bool, skip: Tensor, gate: Tensor) -> None:
    torch.manual_seed(0)
    attention = redrawn(ATTENTION["aca"](8, 6 if gated else 0))
    x = numbers(skip)
    both = np.concatenate([x, numbers(gate)], axis=1) if gated else x
    _, reduce, _, project, _ = attention.channel
    squeezed = np.einsum("rc,bc->br", numbers(reduce.weight)[..., 0, 0], both.mean((2, 3))) + numbers(reduce.bias)
    excited = np.einsum("cr,br->bc", numbers(project.weight)[..., 0, 0], np.maximum(squeezed, 0))
    channel = sigmoid(excited + numbers(project.bias))[:, :, None, None]

    reduce, _, to_one, _ = attention.spatial
    padded = np.pad(both, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    local = np.einsum("rcij,bchwij->brhw", numbers(reduce.weight), windows) + numbers(reduce.bias)[:, None, None]
    one = np.einsum("r,brhw->bhw", numbers(to_one.weight)[0, :, 0, 0], np.maximum(local, 0))
    spatial = sigmoid(one + numbers(to_one.bias))[:, None]

    refined = x * channel * spatial + x
    convolution, norm, _ = attention.fusion
    mixed = np.einsum("dc,bchw->bdhw", numbers(convolution.weight)[..., 0, 0], refined)
    scale = numbers(norm.weight)[:, None, None] / np.sqrt(1 + norm.eps)  # running mean 0 and variance 1 as yet
    expected = np.maximum(mixed * scale + numbers(norm.bias)[:, None, None], 0)
    np.testing.assert_allclose(numbers(attention(skip, gate if gated else None)), expected, atol=1e-5)


def test_gct_is_the_papers_and_begins_as_the_identity(skip: Tensor) -> None:
    attention = ATTENTION["gct"](8, 0)
    assert torch.equal(attention(skip, None), skip)
    redrawn(attention)
    x = numbers(skip)
    alpha, gamma, beta = (numbers(getattr(attention.layers, name)) for name in ("alpha", "gamma", "beta"))
    embedding = alpha * np.linalg.norm(x.reshape(2, 8, -1), axis=2)[:, :, None, None]
    # sqrt(C) * s / ||s||, as the paper writes it.
    normalised = np.sqrt(8) * embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    expected = x * (1 + np.tanh(gamma * normalised + beta))
    np.testing.assert_allclose(numbers(attention(skip, None)), expected, atol=1e-4)


@pytest.mark.parametrize("deviation", [1.0, 2.0])
def test_gaussian_gct_is_a_gaussian_of_the_normalised_means(deviation: float, skip: Tensor) -> None:
    attention = ATTENTION["gaussian_gct"](8, 0, deviation=deviation)
    assert not list(attention.parameters())
    x = numbers(skip)
    means = x.mean((2, 3))
    z = (means - means.mean(1, keepdims=True)) / np.sqrt(means.var(1, keepdims=True) + 1e-5)
    expected = x * np.exp(-(z**2) / (2 * deviation**2))[:, :, None, None]
    np.testing.assert_allclose(numbers(attention(skip, None)), expected, atol=1e-5)


def test_gaussian_gct_learns_its_deviation_from_where_the_fixed_one_is(skip: Tensor) -> None:
    learned = ATTENTION["gaussian_gct"](8, 0, learned=True)
    assert torch.allclose(learned(skip, None), ATTENTION["gaussian_gct"](8, 0)(skip, None))
    learned(skip, None).abs().sum().backward()
    # A wider Gaussian damps less.
    assert learned.layers.theta.grad.item() > 0


def test_srm_weighs_every_channel_by_its_own_mean_and_deviation(skip: Tensor) -> None:
    attention = ATTENTION["srm"](8, 0).eval()
    assert torch.allclose(attention(skip, None), skip / 2)
    torch.manual_seed(0)
    redrawn(attention)
    x = numbers(skip)
    style = np.stack([x.mean((2, 3)), np.sqrt(x.var((2, 3)) + 1e-5)], axis=-1)
    norm = attention.layers.norm
    scale = numbers(norm.weight) / np.sqrt(1 + norm.eps)
    z = np.einsum("ck,bck->bc", numbers(attention.layers.weight), style) * scale + numbers(norm.bias)
    expected = x * sigmoid(z)[:, :, None, None]
    np.testing.assert_allclose(numbers(attention(skip, None)), expected, atol=1e-5)


def test_srm_of_a_single_position_has_no_deviation_and_stays_finite() -> None:
    attention = ATTENTION["srm"](4, 0)
    output = attention(torch.randn(2, 4, 1, 1), None)
    output.square().sum().backward()
    assert output.isfinite().all()
    assert attention.layers.weight.grad.isfinite().all()


LIBRARY = {
    "se": lambda: SEModule(64),
    "eca": lambda: EcaModule(64),
    "cbam": lambda: CbamModule(64),
    "coord": lambda: CoordAttn(64, rd_channels=8),
    "gc": lambda: GlobalContext(64, fuse_add=True, fuse_scale=False, rd_channels=8),
    "scse": lambda: SCSEModule(64),
}


@pytest.mark.parametrize("kind", list(LIBRARY))
def test_kinds_that_timm_and_smp_have_answer_as_theirs(kind: str) -> None:
    torch.manual_seed(0)
    reference = redrawn(LIBRARY[kind]())
    attention = ATTENTION[kind](64, 32).eval()
    attention.layers.load_state_dict(reference.state_dict())
    feature = torch.randn(2, 64, 9, 6)
    assert torch.equal(attention(feature, None), reference(feature))


@pytest.mark.parametrize("kind", KINDS)
def test_attention_unet_takes_every_kind(kind: str) -> None:
    torch.manual_seed(0)
    encoder = ("unet_scratch", {"width": 8})
    decoder = ("attention_unet", {"depth": 3, "channels": [16, 8, 8]})
    network = Network(encoder, decoder, attention=(kind, {}))
    assert [block.attention is None for block in network.decoder.blocks] == [False] * 3
    output = network(torch.rand(2, 3, 20, 12))
    assert output.masks.shape == (2, 1, 20, 12)
    (output.masks.square().mean() + output.labels.square().mean()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_attention_on_the_features_of_a_decoder_without_gates() -> None:
    torch.manual_seed(0)
    network = Network("resnet18", ("unet", {"depth": 3}), attention=("se", {}))
    assert set(network.attention.levels) == {"1", "2"}
