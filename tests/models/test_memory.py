"""What a training step needs is known beforehand, to within what torch's allocator then gives out."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.optim import SGD, AdamW, Optimizer
from torch.profiler import ProfilerActivity, profile

from models.memory import LiveBytes, TrainingMemory, training_memory
from models.network import Network, Output

SHAPE = (4, 3, 64, 64)


def loss_of(output: Output) -> Tensor:
    assert output.labels is not None
    return output.masks.square().mean() + output.labels.square().mean()


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    return AdamW(parameters, lr=1e-3)


def estimated(encoder: str, decoder: str = "unet", **options: object) -> TrainingMemory:
    return training_memory(lambda: Network(encoder, (decoder, {})), SHAPE, loss_of, adam, **options)  # type: ignore[arg-type]


def allocated(encoder: str, decoder: str = "unet", mixed: bool = False) -> int:
    """The most bytes that torch's allocator had given out at once in two real steps, by its own events."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        network = Network(encoder, (decoder, {})).train()
        optimizer = adam(network.parameters())
        for _ in range(2):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                loss = loss_of(network(torch.rand(SHAPE)))
            loss.backward()
            optimizer.step()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


# Not vgg11_bn: on images as small as these the allocator's peak on the CPU is 1.7 times the estimate, by what its
# kernels take for themselves; on those of 128 pixels, which tests/benchmarks/memory.py has, they agree.
MORE = (
    *(
        "resnet18",
        "mit_b0",
        "resnet50",
        "densenet121",
        "efficientnet-b0",
        "mobilenet_v2",
        "tu-mobilenetv3_large_100",
    ),
    *("tu-convnext_atto", "tu-regnety_008", "xception", "unet_scratch"),
)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["shufflenet_v2_x0_5", *MORE])
def test_the_estimate_is_what_the_allocator_gives_out(encoder: str) -> None:
    found, measured = estimated(encoder), allocated(encoder)
    assert found.peak == pytest.approx(measured, rel=0.25)
    # A step on tensors with values makes and lets go of the same tensors.
    assert estimated(encoder, device="cpu") == found


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["unetplusplus", "deeplabv3plus", "attention_unet", "fpn", "segformer"])
def test_the_estimate_holds_for_other_decoders(decoder: str) -> None:
    assert estimated("resnet18", decoder).peak == pytest.approx(allocated("resnet18", decoder), rel=0.25)


def small() -> nn.Module:
    """Two convolutions with what stands between them in most networks."""
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3))


def squares(answer: Tensor) -> Tensor:
    return answer.float().square().mean()


def test_torchs_own_tracker_counts_the_same() -> None:
    network = small()
    optimizer = adam(network.parameters())
    for _ in range(2):
        tracker = MemTracker()
        tracker.track_external(network, optimizer)
        with tracker:
            squares(network(torch.rand(SHAPE))).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        [counts] = tracker.get_tracker_snapshot("peak").values()
    assert training_memory(small, SHAPE, squares, adam).peak == pytest.approx(counts["Total"], rel=0.01)


def test_weights_and_state_are_counted_to_the_byte() -> None:
    network = small()
    weights = sum(parameter.nbytes for parameter in network.parameters())
    buffers = sum(buffer.nbytes for buffer in network.buffers())
    found = training_memory(small, SHAPE, squares, adam)
    assert found.network == weights + buffers
    counters = 4 * len(list(network.parameters()))
    assert found.optimizer == 2 * weights + counters
    assert found.peak >= found.network + found.optimizer + found.saved


@pytest.mark.parametrize(("momentum", "copies"), [(0.0, 0), (0.9, 1)])
def test_sgd_keeps_a_copy_only_with_momentum(momentum: float, copies: int) -> None:
    def sgd(parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=0.1, momentum=momentum)

    found = training_memory(lambda: nn.Conv2d(3, 8, 3), SHAPE, Tensor.sum, sgd)
    assert found.optimizer == copies * found.network


def test_what_is_saved_grows_with_the_batch_and_the_area_and_the_rest_does_not() -> None:
    def of(shape: tuple[int, int, int, int]) -> TrainingMemory:
        return training_memory(small, shape, squares, adam)

    one, batch, area = of((4, 3, 64, 64)), of((8, 3, 64, 64)), of((4, 3, 128, 64))
    assert (one.network, one.optimizer) == (batch.network, batch.optimizer) == (area.network, area.optimizer)
    assert batch.saved == pytest.approx(2 * one.saved, rel=0.02)
    assert area.saved == pytest.approx(2 * one.saved, rel=0.02)
    assert one.enlarged(2).peak >= batch.peak
    assert one.enlarged(2).saved == pytest.approx(batch.saved, rel=0.02)


def test_mixed_precision_keeps_half_of_what_it_casts() -> None:
    full = training_memory(small, SHAPE, squares, adam)
    half = training_memory(small, SHAPE, squares, adam, autocast=torch.bfloat16)
    assert half[:2] == full[:2], "weights and state stay in full precision"
    assert 0.4 * full.saved < half.saved < 0.7 * full.saved


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0", "efficientnet-b0"])
def test_in_mixed_precision_an_estimate_is_what_the_allocator_gives_out(encoder: str) -> None:
    assert estimated(encoder, autocast=torch.bfloat16).peak == pytest.approx(allocated(encoder, mixed=True), rel=0.25)


def test_an_optimizer_that_takes_all_parameters_at_once_needs_room_for_it() -> None:
    def wide() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 256, 3), nn.Conv2d(256, 256, 3), nn.Conv2d(256, 256, 3))

    one_by_one = training_memory(wide, (1, 3, 8, 8), Tensor.sum, adam)
    at_once = training_memory(wide, (1, 3, 8, 8), Tensor.sum, adam, foreach=True)
    assert at_once.peak > one_by_one.peak


def test_no_random_number_is_drawn_for_an_estimate() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    training_memory(small, SHAPE, squares, adam)
    assert torch.equal(torch.rand(1), expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2000), st.booleans()), max_size=12))
def test_bytes_are_counted_while_their_tensor_lives(made: list[tuple[int, bool]]) -> None:
    kept: list[Tensor] = []
    alive = most = 0
    with LiveBytes() as live:
        for count, keep in made:
            tensor = torch.empty(count)
            view = tensor[: count // 2]
            most = max(most, alive + 4 * count)
            if keep:
                kept.append(view)
                alive += 4 * count
            del tensor, view
            assert live.now == alive
    assert live.peak == most
    kept.clear()
    assert live.now == 0
