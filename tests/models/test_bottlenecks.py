from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from timm.layers.cbam import CbamModule
from torch import nn

from models.bottlenecks import BOTTLENECKS
from models.bottlenecks.modules.dual_domain import DualDomain
from models.bottlenecks.modules.spectrum import SpectralFilter
from models.cost import cost
from models.network import Network

KINDS = ("amplitude_phase", "real_imaginary")
SIZES = [(1, 1), (1, 4), (2, 2), (3, 5), (8, 8), (7, 6)]
CASES = [
    *((name, {}) for name in BOTTLENECKS),
    ("dual_domain", {"filter": "real_imaginary", "grid": 3}),
    ("aspp", {"rates": (1, 2), "branch_channels": 8}),
]
each_case = pytest.mark.parametrize(("name", "options"), CASES)


def build(name: str, channels: int = 24, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return BOTTLENECKS[name](channels, **BOTTLENECKS.check(name, options))


def changed(filter: SpectralFilter, seed: int = 0) -> SpectralFilter:
    """The filter with another response than the identity."""
    torch.manual_seed(seed)
    nn.init.normal_(filter.deviation, std=0.3)
    return filter


@each_case
def test_it_keeps_the_shape_at_every_size_and_every_parameter_learns(name: str, options: dict[str, object]) -> None:
    module = build(name, **options)
    for size in SIZES:
        module.zero_grad()
        feature = torch.randn(2, 24, *size, requires_grad=True)
        output = module(feature)
        assert output.shape == feature.shape
        output.square().mean().backward()
        assert feature.grad is not None
        assert feature.grad.isfinite().all()
        for key, parameter in module.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


@each_case
def test_its_state_is_all_there_is_to_it_and_eval_mode_is_deterministic(name: str, options: dict[str, object]) -> None:
    first, second = build(name, **options).eval(), build(name, seed=1, **options).eval()
    feature = torch.randn(1, 24, 5, 4)
    with torch.inference_mode():
        expected = first(feature)
        assert torch.equal(first(feature), expected)
        assert torch.equal(second(feature), expected) == (name == "identity")
        second.load_state_dict(first.state_dict())
        assert torch.equal(second(feature), expected)


@each_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_stays_finite_in_half_precision(name: str, options: dict[str, object], dtype: torch.dtype) -> None:
    module = build(name, **options)
    for given in (torch.float32, dtype):
        feature = (torch.randn(2, 24, 5, 7) * 50).to(given).requires_grad_()
        with torch.autocast("cpu", dtype=dtype):
            output = module(feature)
        assert output.isfinite().all()
        (output.float() / 100).square().mean().backward()
        assert feature.grad is not None
        assert feature.grad.isfinite().all()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@each_case
def test_channels_last_makes_no_difference_and_it_can_be_exported(name: str, options: dict[str, object]) -> None:
    module = build(name, **options).eval()
    feature = torch.randn(2, 24, 6, 5)
    with torch.no_grad():
        expected = module(feature)
        other = module(feature.contiguous(memory_format=torch.channels_last))
        assert torch.allclose(other, expected, atol=1e-5)
        exported = torch.export.export(module, (feature,)).module()
        assert torch.allclose(exported(feature), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("aspp", 20.97), ("cbam", 0.52), ("dual_domain", 8.82), ("dual_domain_cbam", 9.34)],
)
def test_wide_features_do_not_make_it_the_largest_part_of_the_network(name: str, millions: float) -> None:
    with torch.device("meta"):
        module = build(name, channels=2048)
    assert sum(parameter.numel() for parameter in module.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("name", list(BOTTLENECKS))
def test_the_network_with_it_can_be_trained_and_costed(name: str) -> None:
    def build_network() -> Network:
        return Network("shufflenet_v2_x0_5", bottleneck=(name, BOTTLENECKS.check(name, {})))

    torch.manual_seed(0)
    network = build_network()
    images = torch.rand(2, 3, 40, 72)
    output = network(images)
    (output.masks.square().mean() + output.labels.square().mean()).backward()
    assert all(parameter.grad is not None for parameter in network.bottleneck.parameters())
    counted = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert cost(build_network, (64, 64)).params_millions == pytest.approx(counted)


def test_cbam_is_timms() -> None:
    torch.manual_seed(3)
    reference = CbamModule(32, rd_ratio=1 / 8, spatial_kernel_size=5).eval()
    module = build("cbam", channels=32, seed=3, reduction=8, kernel_size=5).eval()
    feature = torch.randn(2, 32, 6, 6)
    assert torch.equal(module(feature), reference(feature))
    assert reference.channel.fc1.out_channels == 4


def test_dual_domain_cbam_is_one_after_the_other() -> None:
    module = build("dual_domain_cbam").eval()
    first, second = build("dual_domain").eval(), build("cbam").eval()
    first.load_state_dict(module[0].state_dict())
    second.load_state_dict(module[1].state_dict())
    feature = torch.randn(1, 24, 4, 6)
    assert torch.equal(module(feature), second(first(feature)))


def test_dual_domain_adds_both_branches_to_its_input() -> None:
    module = DualDomain(16, "real_imaginary", grid=4, reduction=2).eval()
    feature = torch.randn(1, 16, 5, 5)
    with torch.no_grad():
        module.fusion.bias.zero_()
        kernel = module.fusion.weight.view(16, 24)
        spatial = torch.einsum("oc,bchw->bohw", kernel[:, :8], module.spatial(feature))
        spectral = torch.einsum("oc,bchw->bohw", kernel[:, 8:], feature)
        assert torch.allclose(module(feature), feature + spatial + spectral, atol=1e-5)
        module.fusion.weight.zero_()
        assert torch.equal(module(feature), feature)


@pytest.mark.parametrize("size", [*SIZES, (13, 17), (32, 31)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_spectral_filter_is_the_identity(kind: str, size: tuple[int, int]) -> None:
    feature = torch.randn(2, 6, *size) * 3
    assert torch.allclose(SpectralFilter(6, kind)(feature), feature, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_grids_own_size_the_parameters_are_the_response(kind: str) -> None:
    filter = changed(SpectralFilter(3, kind, grid=8))
    first, second = 1 + filter.deviation[0, :, :, 1:-1], filter.deviation[1, :, :, 1:-1]
    expected = torch.polar(first, second) if kind == "amplitude_phase" else torch.complex(first, second)
    assert torch.allclose(filter.response(8, 8)[..., 1:-1], expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_response_to_a_frequency_is_the_same_at_every_size(kind: str) -> None:
    filter = changed(SpectralFilter(3, kind, grid=6))
    coarse, fine = filter.response(10, 12), filter.response(30, 36)
    # In cycles per position, row 2 of 10 is row 6 of 30, column 5 of 12 is column 15 of 36, and negative rows likewise.
    assert torch.allclose(coarse[:, 2, 5], fine[:, 6, 15], atol=1e-5)
    assert torch.allclose(coarse[:, -3, 4], fine[:, -9, 12], atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (4, 4), (5, 7), (6, 5), (9, 8)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_response_is_that_of_a_real_filter(kind: str, size: tuple[int, int]) -> None:
    """Of the full complex transform too, whose result would have an imaginary part otherwise."""
    height, width = size
    filter = changed(SpectralFilter(3, kind, grid=5))
    half = filter.response(height, width)
    rows, columns = -torch.arange(height) % height, -torch.arange(width) % width
    whole = torch.empty(3, height, width, dtype=half.dtype)
    whole[..., : half.shape[-1]] = half
    for column in range(half.shape[-1], width):
        whole[..., column] = half[:, rows, columns[column]].conj()
    feature = torch.randn(2, 3, height, width)
    full = torch.fft.ifft2(torch.fft.fft2(feature) * whole)
    assert full.imag.abs().max() < 1e-5
    assert torch.allclose(filter(feature), full.real, atol=1e-5)


def test_a_phase_that_grows_with_frequency_moves_the_feature() -> None:
    """The shift theorem: -2 pi f s radians at frequency f move everything by s positions."""
    filter = SpectralFilter(1, "amplitude_phase", grid=8)
    with torch.no_grad():
        filter.deviation[1] = -2 * torch.pi * torch.arange(5) / 8 * 2
    feature = torch.randn(1, 1, 8, 8)
    # Half a cycle per position is its own conjugate and can only keep or change its sign: here it keeps it.
    assert torch.allclose(filter(feature), feature.roll(2, dims=-1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_right_and_finite_where_the_amplitude_is_zero(kind: str) -> None:
    filter = changed(SpectralFilter(2, kind, grid=4)).double()
    feature = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(filter, (feature,))

    def of_parameters(deviation: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(filter, {"deviation": deviation}, (feature.detach(),))

    assert torch.autograd.gradcheck(of_parameters, (filter.deviation.detach().requires_grad_(),))
    silent = torch.zeros(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    filter(silent).square().sum().backward()
    assert silent.grad.isfinite().all()
    assert filter.deviation.grad.isfinite().all()


def test_the_spectrum_is_computed_in_float32_under_autocast() -> None:
    filter = changed(SpectralFilter(4, "real_imaginary"))
    feature = torch.randn(1, 4, 6, 6)
    expected = filter(feature)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(filter(feature), expected)
        rounded = feature.bfloat16()
        assert torch.equal(filter(rounded), filter(rounded.float()).bfloat16())
    # 3 * 64 * 64 * 1000 is beyond float16, in which the mean of a bright feature would become infinite.
    bright = torch.full((1, 4, 64, 64), 3000.0, dtype=torch.float16)
    assert SpectralFilter(4, "real_imaginary")(bright).isfinite().all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("aspp", {"rates": ()}),
        ("aspp", {"rates": (0,)}),
        ("cbam", {"reduction": 0}),
        ("cbam", {"kernel_size": 4}),
        ("dual_domain", {"filter": "magnitude"}),
        ("dual_domain", {"grid": 1}),
        ("identity", {"reduction": 2}),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BOTTLENECKS.check(name, options)


def test_sweep_files_are_checked_without_torch() -> None:
    """Seconds of import that nobody should wait for who only misspelt a name."""
    packages = ["models.bottlenecks", "models.latent_augmentation", "models.heads"]
    code = f"import importlib, sys; [importlib.import_module(n) for n in {packages}]; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
