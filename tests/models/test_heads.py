from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from segmentation_models_pytorch.base import ClassificationHead
from torch import nn

from models.heads import CLASSIFICATION_HEADS
from models.heads.modules.masked import FLOOR, masked_mean
from models.network import Network

HEADS = [
    ("pooled", {}),
    ("pooled", {"pooling": "max", "dropout": 0.0}),
    ("pooled", {"feature": "before_bottleneck"}),
    ("masked", {}),
    ("masked", {"feature": "before_bottleneck", "detach": False, "dropout": 0.0}),
]
each_head = pytest.mark.parametrize(("name", "options"), HEADS)


def build(name: str, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    head = CLASSIFICATION_HEADS[name](24, 3, **CLASSIFICATION_HEADS.check(name, options))
    assert head is not None
    return head


def features(size: tuple[int, int] = (3, 2), stride: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    height, width = size
    before, after = torch.randn(2, 2, 24, height, width)
    return before, after, torch.randn(2, 1, height * stride, width * stride)


def inside(rows: slice, columns: slice, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    """Logits (1, 1, H, W) of a certain mask."""
    logits = torch.full((1, 1, *size), -100.0)
    logits[..., rows, columns] = 100.0
    return logits


@each_head
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8)])
def test_every_parameter_learns_at_every_size(name: str, options: dict[str, object], size: tuple[int, int]) -> None:
    head = build(name, **options)
    labels = head(*features(size))
    assert labels.shape == (2, 3)
    labels.square().mean().backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@each_head
def test_its_state_is_all_there_is_to_it_and_eval_mode_is_deterministic(name: str, options: dict[str, object]) -> None:
    first, second = build(name, **options).eval(), build(name, seed=1, **options).eval()
    inputs = features()
    expected = first(*inputs)
    assert torch.equal(first(*inputs), expected)
    assert not torch.equal(second(*inputs), expected)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(*inputs), expected)


@each_head
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_stays_finite_in_half_precision(name: str, options: dict[str, object], dtype: torch.dtype) -> None:
    head = build(name, **options)
    inputs = [(tensor * 100).to(dtype) for tensor in features()]
    with torch.autocast("cpu", dtype=dtype):
        labels = head(*inputs)
    assert labels.isfinite().all()
    labels.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


@each_head
def test_it_reads_the_feature_that_it_was_told_to(name: str, options: dict[str, object]) -> None:
    head = build(name, **options).eval()
    before, after, masks = features()
    nowhere = torch.full_like(before, torch.nan)
    reads_before = options.get("feature") == "before_bottleneck"
    assert head(before, nowhere, masks).isfinite().all() == reads_before
    assert head(nowhere, after, masks).isfinite().all() != reads_before


@each_head
def test_it_can_be_exported(name: str, options: dict[str, object]) -> None:
    head, inputs = build(name, **options).eval(), features()
    exported = torch.export.export(head, inputs).module()
    assert torch.allclose(exported(*inputs), head(*inputs), atol=1e-6)


def test_the_default_is_smps_head() -> None:
    torch.manual_seed(4)
    reference = ClassificationHead(24, 3, pooling="avg", dropout=0.2)
    head = build("pooled", seed=4)
    assert list(head.state_dict()) == list(reference.state_dict())
    before, after, masks = features()
    torch.manual_seed(0)
    expected = reference(after)
    torch.manual_seed(0)
    assert torch.equal(head(before, after, masks), expected)


def test_under_a_mask_only_what_it_covers_counts() -> None:
    feature = torch.zeros(1, 2, 4, 4)
    feature[0, 0, 1, 2] = 5.0
    feature[0, 1, 3, 3] = 1000.0
    pooled = masked_mean(feature, inside(slice(8, 16), slice(16, 24)))
    # By hand: one position weighs 1 + FLOOR, the other fifteen FLOOR each.
    total = 1 + 16 * FLOOR
    expected = torch.tensor([[5 * (1 + FLOOR) / total, 1000 * FLOOR / total]])
    assert torch.allclose(pooled, expected, rtol=1e-5)


def test_a_position_weighs_as_much_as_is_covered_of_it() -> None:
    feature = torch.tensor([[[[1.0, 3.0]]]])
    masks = inside(slice(0, 4), slice(0, 6), size=(4, 8))
    expected = (1 * (1 + FLOOR) + 3 * (0.5 + FLOOR)) / (1.5 + 2 * FLOOR)
    assert masked_mean(feature, masks).item() == pytest.approx(expected, rel=1e-6)


def test_without_a_mask_it_is_the_global_mean_and_the_way_there_is_smooth() -> None:
    feature = torch.randn(1, 6, 4, 4)
    whole = feature.mean(dim=(2, 3))
    for logits in (-100.0, 0.0, 100.0, -torch.inf):
        assert torch.allclose(masked_mean(feature, torch.full((1, 1, 32, 32), logits)), whole, atol=1e-6)
    lesion = inside(slice(0, 8), slice(0, 8))
    faded = [masked_mean(feature, torch.where(lesion > 0, logit, -100.0)) for logit in (4.0, -4.0, -6.0, -9.0, -14.0)]
    distances = [float((pooled - whole).norm()) for pooled in faded]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.01 * distances[0]


def test_beyond_the_image_there_is_no_mask() -> None:
    """Positions of padding, marked by -inf, weigh as nothing, and have no gradient that is not a number."""
    feature = torch.randn(1, 3, 2, 3, requires_grad=True)
    image = torch.full((1, 1, 16, 16), 100.0, requires_grad=True)
    masks = nn.functional.pad(image, (0, 8, 0, 0), value=-torch.inf)
    pooled = masked_mean(feature, masks)
    assert torch.allclose(pooled, feature[..., :2].mean(dim=(2, 3)), atol=5e-3)
    pooled.sum().backward()
    assert image.grad.isfinite().all()
    assert feature.grad.isfinite().all()


@pytest.mark.parametrize("detach", [True, False])
def test_the_diagnosis_moves_the_mask_only_if_it_may(detach: bool) -> None:
    before, after, masks = features()
    masks.requires_grad_()
    build("masked", detach=detach)(before, after, masks).square().sum().backward()
    assert (masks.grad is None) == detach


@pytest.mark.parametrize("detach", [True, False])
def test_in_the_network_the_loss_of_the_diagnosis_reaches_the_decoder_only_if_it_may(detach: bool) -> None:
    torch.manual_seed(0)
    network = Network("shufflenet_v2_x0_5", classification_head=("masked", {"detach": detach}))
    output = network(torch.rand(2, 3, 40, 72))
    output.labels.square().mean().backward()
    assert all((parameter.grad is None) == detach for parameter in network.segmentation_head.parameters())
    assert all(parameter.grad is not None for parameter in network.classification_head.parameters())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pooled", {"dropout": 1.0}),
        ("pooled", {"pooling": "avgmax"}),
        ("pooled", {"detach": True}),
        ("masked", {"feature": "deepest"}),
        ("masked", {"pooling": "max"}),
        ("none", {"dropout": 0.1}),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CLASSIFICATION_HEADS.check(name, options)


def test_there_may_be_none() -> None:
    none: Callable[..., nn.Module | None] = CLASSIFICATION_HEADS["none"]
    assert none(24, 3) is None
