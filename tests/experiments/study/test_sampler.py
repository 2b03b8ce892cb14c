"""Optuna's samplers as questions without memory: the same history, the same draw; and TPE learns from its history."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from experiments.study import distributions_in
from experiments.study.sampler import Draw, draw, startup_of
from experiments.sweep import Space, load_sweep

TEXT = """\
name: s
search:
  grid: {{model.encoder: [resnet18, resnet34]}}
  space:
    training.lr: {{log_uniform: [1.0e-5, 1.0e-1]}}
    training.weight_decay: {{uniform: [0, 1]}}
    training.optimizer: {{choice: [adamw, sgd]}}
    training.momentum: {{uniform: [0, 0.9], when: {{training.optimizer: sgd}}}}
    training.epochs: {{int: {{low: 10, high: 30, step: 5}}}}
    training.augmentation: {{choice: [[], [flip]]}}
  sampler: {sampler}
  samples: 40
"""


def space_of(folder: Path, sampler: str) -> Space:
    path = folder / f"{sampler}.yaml"
    path.write_text(TEXT.format(sampler=sampler), encoding="utf-8")
    space = load_sweep(path).space
    assert space is not None
    return space


def distance(drawn: dict[str, float]) -> float:
    """From the best of a toy objective, in units of the ranges."""
    return abs(math.log10(drawn["training.lr"]) + 3) / 4 + abs(drawn["training.weight_decay"] - 0.3)


def searched(space: Space, seed: int, samples: int = 40) -> list[Draw]:
    """A search that is told the toy objective after every draw."""
    past: list[Draw] = []
    for index in range(samples):
        drawn = draw(space, 0, past, "max", 1000 * seed + index)
        assert space.accepts(0, drawn)
        past.append(Draw(drawn, -distance(drawn)))
    return past


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_history_gives_the_same_draw(tmp_path: Path, sampler: str) -> None:
    space = space_of(tmp_path, sampler)
    past = searched(space, 1, 15)
    past[3], past[7] = Draw(past[3].drawn), Draw(past[7].drawn, running=True)
    one = draw(space, 0, past, "max", 5)
    assert one == draw(space_of(tmp_path, sampler), 0, list(past), "max", 5)
    assert one != draw(space, 0, past, "max", 6)


def test_only_tpe_learns_and_it_learns_from_what_it_is_told(tmp_path: Path) -> None:
    found = {}
    for sampler in ("tpe", "random"):
        space = space_of(tmp_path, sampler)
        late = [distance(each.drawn) for seed in range(3) for each in searched(space, seed)[25:]]
        found[sampler] = statistics.median(late)
    assert found["tpe"] < 0.6 * found["random"], found

    space = space_of(tmp_path, "tpe")
    past = searched(space, 1, 20)
    worse = [Draw(each.drawn, -each.value) for each in past if each.value is not None]
    assert draw(space, 0, past, "max", 5) == draw(space, 0, worse, "min", 5) != draw(space, 0, worse, "max", 5)
    random = space_of(tmp_path, "random")
    assert draw(random, 0, past, "max", 5) == draw(random, 0, [], "max", 5)
    assert draw(space, 0, past, "max", 5, blind=True) == draw(random, 0, [], "max", 5)


def test_failures_and_what_is_running_count_as_such(tmp_path: Path) -> None:
    space = space_of(tmp_path, "tpe")
    past = searched(space, 2, 20)
    best = min(past, key=lambda each: distance(each.drawn))
    told = {
        "complete": draw(space, 0, past, "max", 5),
        "failed": draw(space, 0, [Draw(each.drawn) if each is best else each for each in past], "max", 5),
        "running": draw(space, 0, [Draw(e.drawn, running=True) if e is best else e for e in past], "max", 5),
    }
    assert told["complete"] != told["failed"] != told["running"] != told["complete"]
    # Nothing but failures: there is nothing to learn from, and it goes on.
    assert space.accepts(0, draw(space, 0, [Draw(each.drawn) for each in past], "max", 5))


def test_the_first_draws_are_random_a_quarter_within_bounds() -> None:
    assert [startup_of(samples) for samples in (1, 6, 12, 20, 40, 1000)] == [3, 3, 3, 5, 10, 10]


def test_the_distributions_are_those_of_the_space(tmp_path: Path) -> None:
    assert distributions_in(space_of(tmp_path, "tpe")) == {
        "model.encoder": CategoricalDistribution(("resnet18", "resnet34")),
        "training.lr": FloatDistribution(1e-5, 0.1, log=True),
        "training.weight_decay": FloatDistribution(0, 1),
        "training.optimizer": CategoricalDistribution(("adamw", "sgd")),
        "training.momentum": FloatDistribution(0, 0.9),
        "training.epochs": IntDistribution(10, 30, step=5),
        "training.augmentation": CategoricalDistribution(("[]", '["flip"]')),
    }
