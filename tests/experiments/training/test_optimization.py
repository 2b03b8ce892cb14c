"""Learning rates by epoch against their formulas; optimizers by what they do to a parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from experiments.sweep import Settings
from experiments.sweep.schema.settings import TrainingSettings
from experiments.training.optimization import LearningRate, amp_type, make_optimizer


def training(**changes: Any) -> TrainingSettings:
    return Settings.model_validate({"training": {"lr": 0.1, "epochs": 12, **changes}}).training


def schedule(settings: TrainingSettings, mode: str = "max") -> LearningRate:
    return LearningRate(make_optimizer([torch.nn.Parameter(torch.zeros(2))], settings), settings, mode)


def rates(learning_rate: LearningRate, objectives: Sequence[float]) -> list[float]:
    """The rate of each epoch, given what each epoch came to."""
    found = []
    for objective in objectives:
        found.append(learning_rate.value)
        learning_rate.optimizer.step()
        learning_rate.step(objective)
    return found


@hypothesis_settings(deadline=None)
@given(epochs=st.integers(1, 40), warmup=st.integers(0, 45), lr=st.floats(1e-6, 1))
@pytest.mark.parametrize("scheduler", ["cosine", "none", "plateau"])
def test_warm_up_then_cosine_or_constant(scheduler: str, epochs: int, warmup: int, lr: float) -> None:
    settings = training(epochs=epochs, warmup_epochs=warmup, lr=lr, scheduler=scheduler)
    warmup = min(warmup, epochs - 1)  # at least one epoch is at the peak
    expected = [lr * (epoch + 1) / (warmup + 1) for epoch in range(warmup)]
    for epoch in range(epochs - warmup):
        falling = (1 + math.cos(math.pi * epoch / (epochs - warmup))) / 2
        expected.append(lr * falling if scheduler == "cosine" else lr)
    improving = [1 - 0.9**epoch for epoch in range(1, epochs + 1)]
    assert rates(schedule(settings), improving) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    ("mode", "objectives"),
    [("max", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]), ("min", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])],
)
def test_a_plateau_is_one_in_the_direction_of_the_objective(mode: str, objectives: list[float]) -> None:
    settings = training(scheduler="plateau", early_stopping={"patience": 6})
    assert rates(schedule(settings, mode), objectives) == [0.1] * 6
    # After a third of the patience: the best, two epochs borne, and the third lowers the rate by ten.
    assert rates(schedule(settings, mode), objectives[::-1]) == pytest.approx([0.1] * 4 + [0.01] * 2)


def test_without_early_stopping_a_ninth_of_the_epochs_is_borne() -> None:
    assert rates(schedule(training(scheduler="plateau", epochs=9)), [0.5] * 5) == pytest.approx([0.1] * 3 + [0.01] * 2)
    one_epoch = training(scheduler="plateau", epochs=2)
    assert rates(schedule(one_epoch), [0.5, 0.5]) == [0.1, 0.1]


def test_an_undefined_objective_leaves_a_plateau_untouched() -> None:
    settings = training(scheduler="plateau", early_stopping={"patience": 3})
    nan = math.nan
    assert rates(schedule(settings), [nan] * 10) == [0.1] * 10
    with_gaps = rates(schedule(settings), [0.5, nan, nan, nan, 0.5, nan, 0.5, nan])
    assert with_gaps == pytest.approx([0.1] * 7 + [0.01])
    assert rates(schedule(training()), [nan] * 12) == rates(schedule(training()), [0.5] * 12)


@pytest.mark.parametrize("scheduler", ["cosine", "none", "plateau"])
@pytest.mark.parametrize("stop", [1, 3, 7])
def test_a_schedule_goes_on_from_its_state(scheduler: str, stop: int) -> None:
    settings = training(scheduler=scheduler, warmup_epochs=2, early_stopping={"patience": 3})
    objectives = [0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3]
    undisturbed = rates(schedule(settings), objectives)
    assert scheduler == "none" or undisturbed[-1] < undisturbed[3]
    first, second = schedule(settings), schedule(settings)
    before = rates(first, objectives[:stop])
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert before + rates(second, objectives[stop:]) == undisturbed


def steps(optimizer: str, count: int, **changes: Any) -> list[float]:
    """A parameter at 1 with a gradient of 2, after each step."""
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    made = make_optimizer([parameter], training(optimizer=optimizer, **changes))
    values = []
    for _ in range(count):
        parameter.grad = torch.full_like(parameter, 2.0)
        made.step()
        values.append(float(parameter.detach()))
    return values


def test_sgd_with_nesterov_momentum_and_weight_decay() -> None:
    value, velocity, expected = 1.0, 0.0, []
    for _ in range(3):
        gradient = 2.0 + 0.5 * value
        velocity = 0.8 * velocity + gradient
        value -= 0.1 * (gradient + 0.8 * velocity)
        expected.append(value)
    assert steps("sgd", 3, momentum=0.8, weight_decay=0.5) == pytest.approx(expected)
    assert steps("sgd", 2, momentum=0.0, weight_decay=0.0) == pytest.approx([0.8, 0.6])


def test_weight_decay_is_decoupled_in_adamw_alone() -> None:
    # Adam divides the gradient by its own size, and with it a decay that was added to it.
    assert steps("adam", 1, weight_decay=0.5) == pytest.approx([0.9])
    assert steps("adamw", 1, weight_decay=0.5) == pytest.approx([1 - 0.1 * 0.5 - 0.1])


def test_a_frozen_parameter_is_left_alone_by_decay_too() -> None:
    for name in ("adam", "adamw", "sgd"):
        parameter = torch.nn.Parameter(torch.ones(1), requires_grad=False)
        optimizer = make_optimizer([parameter], training(optimizer=name, weight_decay=0.5))
        optimizer.step()
        assert parameter.item() == 1.0
        parameter.requires_grad_(True)
        parameter.grad = torch.ones(1)
        optimizer.step()
        assert parameter.item() < 1.0


def test_adams_updates_are_fused() -> None:
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for name in ("adam", "adamw"):
        for device in devices:
            parameter = torch.nn.Parameter(torch.zeros(2, device=device))
            [group] = make_optimizer([parameter], training(optimizer=name)).param_groups
            assert group["fused"] is True
    assert (
        make_optimizer([torch.nn.Parameter(torch.zeros(2, device="meta"))], training()).param_groups[0]["fused"] is None
    )


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_fused_update_is_that_of_torchs_plain_one(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(7, 5, generator=generator), torch.randn(20, 7, 5, generator=generator)
    ours, plain = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone().double())
    settings = training(optimizer=name, lr=0.01, weight_decay=0.05)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    reference = kind([plain], lr=0.01, weight_decay=0.05, fused=False, foreach=False)
    optimizer = make_optimizer([ours], settings)
    for gradient in gradients:
        ours.grad, plain.grad = gradient.clone(), gradient.double()
        optimizer.step()
        reference.step()
    assert torch.allclose(ours.double(), plain, rtol=0, atol=2e-6)


def test_a_cpu_trains_in_the_precision_that_is_asked_for_and_by_itself_in_full() -> None:
    cpu = torch.device("cpu")
    assert {name: amp_type(name, cpu) for name in ("auto", "none", "bf16", "fp16")} == {
        "auto": None,
        "none": None,
        "bf16": torch.bfloat16,
        "fp16": torch.float16,
    }
