"""`search.space`: what it refuses, what may be drawn from it, and what a draw becomes."""

from __future__ import annotations

import functools
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from experiments.sweep import ContradictionError, Dimension, Space, Sweep, load_sweep
from experiments.sweep.schema.json_schema import json_schema
from utils.errors import UserError
from utils.identity import canonical_json

LR = "training.lr: {log_uniform: [1e-5, 1e-3]}"
EVERYTHING = """\
name: s
model: {decoder: {unet: {attention: scse}}}
search:
  grid: {model.encoder: [resnet18, resnet34]}
  space:
    model.decoder.unet.depth: {int: [3, 5], when: {model.decoder: unet}}
    training.lr: {log_uniform: [1.0e-5, 1.0e-3]}
    training.weight_decay: {uniform: [0, 0.1]}
    training.batch_size: {int: {low: 4, high: 64, log: true}}
    training.epochs: {int: {low: 10, high: 30, step: 5}}
    model.decoder: {choice: [unet, {unetplusplus: {depth: 4}}]}
    training.optimizer: {choice: [adamw, sgd]}
    training.momentum: {uniform: [0.5, 0.99], when: {training.optimizer: [sgd]}}
    training.augmentation: {choice: [[], [flip], [{flip: {p: 0.2}}]]}
    training.gradient_clip: {choice: [null, 1], when: {training.augmentation: [[flip], []], model.encoder: resnet18}}
  sampler: random
  samples: 7
"""


def at_random(chance: random.Random) -> Any:
    """Draws from each dimension without Optuna."""

    def draw(dimension: Dimension) -> Any:
        if dimension.kind == "choice":
            return chance.choice(dimension.values)
        if dimension.kind == "int":
            return chance.choice(dimension.all_values())
        return chance.uniform(dimension.low, dimension.high)

    return draw


def space_of(sweep: Sweep) -> Space:
    assert sweep.space is not None
    return sweep.space


@functools.cache
def everything() -> Space:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        path.write_text(EVERYTHING, encoding="utf-8")
        return space_of(load_sweep(path))


def test_the_templates_are_grid_and_cases_and_the_columns_are_all_keys(load: Any) -> None:
    sweep = load(EVERYTHING)
    assert [c.name for c in sweep.configurations] == ["resnet18", "resnet34"]
    assert sweep.varied[:3] == ("model.encoder", "model.decoder.unet.depth", "training.lr")
    assert sweep.varied == ("model.encoder", *space_of(sweep).keys)
    assert dict(sweep.configurations[0].varied) == {"model.encoder": "resnet18"}
    assert (space_of(sweep).sampler, space_of(sweep).samples) == ("random", 7)
    assert load("name: s\nsearch: {grid: {training.seed: [1, 2]}}\n").space is None


def test_what_a_dimension_depends_on_is_drawn_before_it() -> None:
    order = [dimension.key for dimension in everything().dimensions]
    assert order.index("model.decoder") < order.index("model.decoder.unet.depth")
    assert order.index("training.optimizer") < order.index("training.momentum")


@given(seed=st.integers(0, 10**9), template=st.integers(0, 1))
@hypothesis_settings(max_examples=150, deadline=None)
def test_what_is_drawn_lies_in_the_space_and_only_where_its_conditions_hold(seed: int, template: int) -> None:
    space = everything()
    drawn = space.walk(template, at_random(random.Random(seed)))
    assert space.accepts(template, drawn)
    unet, sgd = drawn["model.decoder"] == "unet", drawn["training.optimizer"] == "sgd"
    assert ("model.decoder.unet.depth" in drawn) == unet
    assert ("training.momentum" in drawn) == sgd
    assert ("training.gradient_clip" in drawn) == (template == 0 and drawn["training.augmentation"] in ([], ["flip"]))
    configuration = space.configuration(template, drawn, 3)
    settings = configuration.settings
    assert settings.model.encoder.name == ("resnet18", "resnet34")[template]
    assert 1e-5 <= settings.training.lr <= 1e-3 and 4 <= settings.training.batch_size <= 64
    assert settings.training.lr == drawn["training.lr"] and settings.training.epochs in (10, 15, 20, 25, 30)
    # What is not drawn is as in the file, or at its default.
    assert settings.training.momentum == drawn.get("training.momentum", 0.9)
    assert settings.model.decoder.options["depth"] == drawn.get("model.decoder.unet.depth", 4)
    assert dict(configuration.varied) == {"model.encoder": settings.model.encoder.name, **drawn}
    for key in drawn:
        assert not space.accepts(template, {**drawn, key: object()})
        assert not space.accepts(template, {other: value for other, value in drawn.items() if other != key})


def test_a_configuration_says_what_was_drawn(load: Any) -> None:
    space = space_of(
        load(f"name: s\nsearch: {{samples: 2, space: {{{LR}, training.augmentation: {{choice: [[flip]]}}}}}}\n")
    )
    drawn = {"training.lr": 0.000123456, "training.augmentation": ["flip"]}
    assert space.configuration(0, drawn, 5).name == "#5: lr=0.000123, augmentation=flip"
    named = space_of(load(EVERYTHING)).walk(1, at_random(random.Random(1)))
    assert everything().configuration(1, named, 1).name.startswith("resnet34 #1: ")


def test_a_drawn_part_brings_no_options_of_the_part_in_the_file() -> None:
    space = everything()
    chosen = {"unetplusplus": {"depth": 4}}
    chance = at_random(random.Random(2))
    drawn = space.walk(0, lambda dimension: chosen if dimension.key == "model.decoder" else chance(dimension))
    decoder = space.configuration(0, drawn, 1).settings.model.decoder
    assert (decoder.name, decoder.options["depth"], decoder.options["attention"]) == ("unetplusplus", 4, "none")


def test_exclude_drops_draws_and_contradictions_are_told(load: Any) -> None:
    text = """
name: s
training: {epochs: 5}
search:
  grid: {model.decoder: [unet, fpn]}
  space: {training.batch_size: {choice: [8, 16]}, training.warmup_epochs: {int: [0, 6]}}
  exclude: [{model.decoder: fpn, training.batch_size: 16}]
  samples: 3
"""
    sweep = load(text)
    space = space_of(sweep)
    assert [c.name for c in sweep.configurations] == ["unet", "fpn"]
    drawn = {"training.batch_size": 16, "training.warmup_epochs": 1}
    assert space.configuration(0, drawn, 1).settings.training.batch_size == 16
    with pytest.raises(ContradictionError, match=r"search\.exclude"):
        space.configuration(1, drawn, 1)
    with pytest.raises(ContradictionError, match="never reach its peak"):
        space.configuration(0, {**drawn, "training.warmup_epochs": 5}, 1)


def test_a_finite_space_can_be_listed(load: Any) -> None:
    text = "name: s\nsearch: {samples: 5, space: {training.seed: {int: {low: 0, high: 4, step: 2}}, "
    text += "training.amp: {choice: [none, bf16]}, training.epochs: {int: [5, 6], when: {training.amp: bf16}}}}\n"
    every = space_of(load(text)).every(0)
    assert every is not None
    expected = [{"training.seed": s, "training.amp": "none"} for s in (0, 2, 4)]
    expected += [{"training.seed": s, "training.amp": "bf16", "training.epochs": e} for s in (0, 2, 4) for e in (5, 6)]
    assert sorted(map(canonical_json, every)) == sorted(map(canonical_json, expected))
    assert everything().every(0) is None


def test_data_and_encoders_that_draws_may_need_are_foreseen(load: Any) -> None:
    text = "name: s\nsearch: {samples: 2, space: {dataset.image_size: {choice: [64, 96]}, "
    text += "model.encoder: {choice: [resnet18, resnet34]}, training.lr: {uniform: [0.1, 0.2]}}}\n"
    previews = [c.settings for c in space_of(load(text)).previews(0)]
    seen = {(settings.dataset.image_size, settings.model.encoder.name) for settings in previews}
    assert seen == {(64, "resnet18"), (64, "resnet34"), (96, "resnet18"), (96, "resnet34")}


def test_the_order_of_keys_and_the_number_of_samples_change_nothing_that_is_drawn(load: Any) -> None:
    one = space_of(load(f"name: s\nsearch: {{samples: 2, space: {{{LR}, training.seed: {{int: [1, 9]}}}}}}\n"))
    other = space_of(load(f"name: s\nsearch: {{samples: 5, space: {{training.seed: {{int: [1, 9]}}, {LR}}}}}\n"))
    changed = space_of(load(f"name: s\nsearch: {{samples: 2, space: {{{LR}, training.seed: {{int: [1, 8]}}}}}}\n"))
    assert canonical_json(one.to_json()) == canonical_json(other.to_json()) != canonical_json(changed.to_json())


def test_the_demo_draws_less_and_not_what_it_decides(load: Any) -> None:
    space = f"{LR}, training.batch_size: {{choice: [8, 16, 32]}}, dataset.options.cases: {{int: [10, 20]}}"
    text = f"name: s\nsearch: {{samples: 40, space: {{{space}}}}}\n"
    demo = space_of(load(text, demo=True))
    assert (demo.keys, demo.samples) == (("training.lr",), 6)
    assert space_of(load(text, "search.samples=9", demo=True)).samples == 9
    # What is left may hold less than was asked for.
    small = f"name: s\nsearch: {{samples: 40, space: {{training.seed: {{choice: [1, 2]}}, {space[len(LR) + 2 :]}}}}}\n"
    assert space_of(load(small, demo=True)).samples == 2
    assert load("name: s\nsearch: {samples: 4, space: {training.epochs: {int: [1, 9]}}}\n", demo=True).space is None


def searching(space: str, more: str = "") -> str:
    return f"search: {{samples: 2, space: {{{space}}}{more}}}"


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (searching("training.rl: {uniform: [0, 1]}"), "training.rl", "did you mean 'training.lr'?"),
        (searching("training: {uniform: [0, 1]}"), "training", "write dotted keys"),
        (searching("folds.use: {int: [1, 2]}"), "folds.use", "cannot vary"),
        (searching("objective.metric: {choice: [dice]}"), "objective.metric", "cannot vary"),
        (searching("training.lr: [1, 2]"), "training.lr", "must say what it is drawn from"),
        (
            searching("training.lr: {}"),
            "training.lr",
            "does not say what it is drawn from. Valid: uniform, log_uniform",
        ),
        (searching("training.lr: {unifrom: [0.1, 1]}"), "training.lr.unifrom", "did you mean 'uniform'?"),
        (searching("training.lr: {uniform: [0.1, 1], choice: [1]}"), "training.lr", "drawn in two ways"),
        (searching("training.lr: {uniform: [0.1]}"), "training.lr.uniform", "must be two bounds"),
        (searching("training.lr: {uniform: {low: 0.1}}"), "training.lr.uniform", "has no high"),
        (searching("training.lr: {uniform: {low: 0.1, hihg: 1, high: 1}}"), "training.lr.uniform.hihg", "'high'?"),
        (searching("training.lr: {uniform: [0.1, x]}"), "training.lr.uniform[1]", "must be a number"),
        (searching("training.lr: {uniform: [0.1, true]}"), "training.lr.uniform[1]", "must be a number"),
        (searching("training.lr: {uniform: [0.1, .inf]}"), "training.lr.uniform[1]", "finite"),
        (searching("training.lr: {uniform: [0, 1]}"), "training.lr.uniform[0]", "must be greater than 0"),
        (searching("training.lr: {uniform: [1, 11]}"), "training.lr.uniform[1]", "must be at most 10"),
        (searching("training.lr: {uniform: [0.2, 0.1]}"), "training.lr.uniform[0]", "less than the upper bound, 0.1"),
        (searching("training.lr: {uniform: [0.1, 0.1]}"), "training.lr.uniform[0]", "less than the upper bound"),
        (searching("training.weight_decay: {log_uniform: [0, 1]}"), "training.weight_decay.log_uniform[0]", "logarith"),
        (searching("training.epochs: {int: [1, 2.5]}"), "training.epochs.int[1]", "must be a whole number"),
        (searching("training.epochs: {int: {low: 1, high: 4, step: 2}}"), "training.epochs.int.high", "multiple"),
        (searching("training.epochs: {int: {low: 1, high: 4, step: 0}}"), "training.epochs.int.step", "at least 1"),
        (searching("training.epochs: {int: {low: 1, high: 5, step: 2, log: true}}"), "training.epochs.int.step", "log"),
        (searching("training.epochs: {int: {low: 1, high: 5, log: 1}}"), "training.epochs.int.log", "true or false"),
        (
            searching("training.warmup_epochs: {int: {low: 0, high: 5, log: true}}"),
            "training.warmup_epochs.int.low",
            "0",
        ),
        (searching(f"training.epochs: {{int: [1, {10**400}]}}, {LR}"), "training.epochs.int[1]", "must be at most"),
        (searching(f"training.lr: {{uniform: [1, {10**400}]}}"), "training.lr.uniform[1]", "must be a number"),
        (searching("training.epochs: {int: [0, 5]}"), "training.epochs.int[0]", "must be at least 1"),
        (
            searching("training.optimizer: {int: [0, 5]}, training.seed: {int: [0, 5]}"),
            "training.optimizer.int[0]",
            "adamw",
        ),
        (searching("model.decoder: {choice: unet}"), "model.decoder.choice", "must be a list"),
        (searching("model.decoder: {choice: []}"), "model.decoder.choice", "must be a list of 1"),
        (searching("model.decoder: {choice: [unet, unett]}"), "model.decoder.choice[1]", "did you mean 'unet'?"),
        (searching("model.decoder: {choice: [unet, {unet: {depth: 9}}]}"), "model.decoder.choice[1].unet.depth", "9"),
        (searching("training.lr: {choice: [0.1, 1e-1]}"), "training.lr.choice[1]", "is a choice twice"),
        (searching(LR, ", grid: {training.lr: [0.1]}"), "training.lr", "varies in search.grid as well"),
        (searching(LR, ", cases: [{name: a, training.lr: 0.1}]"), "training.lr", "varies in search.cases as well"),
        (
            searching(
                "model.decoder: {choice: [fpn]}, training.seed: {int: [1, 9]}",
                ", grid: {model.decoder.unet.depth: [3]}",
            ),
            "model.decoder",
            "overlaps model.decoder.unet.depth, which varies in search.grid",
        ),
        (searching("training.lr: {uniform: [0.1, 1], when: 5}"), "training.lr.when", "must name settings"),
        (
            searching("training.lr: {uniform: [0.1, 1], when: {training.lr: 1}}"),
            "training.lr.when.training.lr",
            "itself",
        ),
        (
            searching("training.lr: {uniform: [0.1, 1], when: {training.optimiser: sgd}}"),
            "training.lr.when.training.optimiser",
            "did you mean 'training.optimizer'?",
        ),
        (
            searching("training.lr: {uniform: [0.1, 1], when: {training.optimizer: sdg}}"),
            "training.lr.when.training.optimizer",
            "did you mean 'sgd'?",
        ),
        (
            searching("training.lr: {uniform: [0.1, 1], when: {training.optimizer: sgd}}"),
            "training.lr.when.training.optimizer",
            "never has this value; got 'sgd'. Valid: adamw.",
        ),
        (
            searching(f"{LR}, training.seed: {{int: [0, 9], when: {{training.lr: 1e-4}}}}"),
            "training.seed.when.training.lr",
            "is drawn from a range",
        ),
        (
            searching("model.decoder.unetplusplus.depth: {int: [3, 5]}"),
            "model.decoder.unetplusplus.depth",
            "add when: {model.decoder: unetplusplus}",
        ),
        (
            searching("model.decoder.unet.depth: {int: [3, 5]}", ", grid: {model.decoder: [unet, fpn]}"),
            "model.decoder.unet.depth",
            "model.decoder may be fpn; add when: {model.decoder: unet}",
        ),
        (
            searching(
                "model.decoder.unet.depth: {int: [3, 5], when: {model.decoder: [unet, fpn]}}",
                ", grid: {model.decoder: [unet, fpn]}",
            ),
            "model.decoder.unet.depth",
            "model.decoder may be fpn; add when",
        ),
        (
            searching(
                "training.optimizer: {choice: [sgd], when: {training.amp: none}}, "
                "training.amp: {choice: [none], when: {training.optimizer: sgd}}"
            ),
            "training.optimizer.when",
            "training.optimizer -> training.amp -> training.optimizer",
        ),
    ],
)
def test_each_mistake_gets_one_message(problems: Any, text: str, where: str, words: str) -> None:
    found = problems(f"name: s\n{text}\n")
    assert {problem.where for problem in found} >= {f"search.space.{where}"}, "\n".join(map(str, found))
    same = [problem for problem in found if problem.where == f"search.space.{where}"]
    assert len(same) == 1 and words in str(same[0]), "\n".join(map(str, found))
    # A range of text or of a fraction has two bad ends; all else is said once.
    assert len(found) <= 1 + ("int[0]" in where and "optimizer" in where), "\n".join(map(str, found))
    assert same[0].source.endswith("sweep.yaml:2")


def test_real_numbers_for_a_setting_that_takes_whole_ones_say_what_to_write(problems: Any) -> None:
    found = problems("name: s\n" + searching("training.batch_size: {log_uniform: [8, 32]}") + "\n")
    assert [problem.where[-2:] for problem in found] == ["0]", "1]"]
    assert all("write int instead of log_uniform" in str(problem) for problem in found)


@pytest.mark.parametrize(
    ("search", "where", "words"),
    [
        (f"space: {{{LR}}}", "search.samples", "is missing"),
        (f"space: {{{LR}}}, samples: 0", "search.samples", "at least 1"),
        ("space: {training.seed: {choice: [1, 2]}}, samples: 3", "search.samples", "holds only 2 different"),
        (f"space: {{{LR}}}, samples: 6000, grid: {{training.seed: [1, 2]}}", "search.samples", "at most 10000"),
        (f"space: {{{LR}}}, samples: 2, sampler: gp", "search.sampler", "unknown value"),
        (f"space: {{{LR}}}, samples: 2, exclude: [{{training.lr: x}}]", "search.exclude[0].training.lr", "a number"),
        ("space: [1], samples: 2", "search.space", "must be a mapping"),
    ],
)
def test_what_is_wrong_beside_the_keys(problems: Any, search: str, where: str, words: str) -> None:
    [problem] = problems(f"name: s\nsearch: {{{search}}}\n")
    assert problem.where == where and words in str(problem)


def test_no_mistake_hides_another(problems: Any) -> None:
    space = "training.rl: {int: [1, 2]}, training.lr: {uniform: [2, 1]}, training.seed: {choice: [1, x]}, "
    space += "model.decoder.unetplusplus.depth: {int: [3, 5]}"
    found = problems(f"name: s\ntraining: {{epochs: x}}\nsearch: {{space: {{{space}}}}}\n")
    assert {problem.where for problem in found} == {
        "training.epochs",
        "search.samples",
        "search.space.training.rl",
        "search.space.training.lr.uniform[0]",
        "search.space.training.seed.choice[1]",
        "search.space.model.decoder.unetplusplus.depth",
    }


def test_an_override_of_what_is_drawn_is_told_to_have_no_effect(problems: Any, load: Any) -> None:
    [problem] = problems(f"name: s\nsearch: {{samples: 2, space: {{{LR}}}}}\n", "training.lr=0.1")
    assert "has no effect" in str(problem) and "--set search.space.training.lr={...}" in str(problem)
    # Where it is not always drawn, the file's value counts.
    text = "training.momentum: {uniform: [0.1, 0.2], when: {training.optimizer: sgd}}, "
    text += "training.optimizer: {choice: [sgd, adam]}"
    sweep = load(f"name: s\nsearch: {{samples: 2, space: {{{text}}}}}\n", "training.momentum=0.5")
    assert sweep.settings.training.momentum == 0.5
    changed = load(
        f"name: s\nsearch: {{samples: 2, space: {{{LR}}}}}\n", "search.space.training.lr={uniform: [0.5, 0.6]}"
    )
    assert space_of(changed).dimensions[0].low == 0.5


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["unet", "sgd", "none", "", "${winner:a.b}"])
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.just({"unet": {"depth": 4}}), st.just({}))
RANGES = st.one_of(
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(["low", "high", "step", "log", "x"]), SCALARS, max_size=4),
    VALUES,
)
KEYS = (
    "training.lr",
    "training.epochs",
    "training.optimizer",
    "model.decoder",
    "model.decoder.unet.depth",
    "folds.use",
)
ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("uniform", "log_uniform", "int"), RANGES),
            "choice": st.lists(VALUES, max_size=4),
            "when": st.one_of(VALUES, st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2)),
        },
    ),
    VALUES,
)


@given(
    space=st.dictionaries(st.sampled_from(KEYS), ENTRIES, min_size=1, max_size=3),
    samples=st.sampled_from([None, 1, 5, 4000]),
    decoders=st.sampled_from([[], ["unet"], ["unet", "fpn"]]),
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_whatever_is_written_is_a_space_or_a_list_of_problems(
    space: dict[str, Any], samples: int | None, decoders: list[str]
) -> None:
    search = {"space": space, "samples": samples, "grid": {"model.decoder": decoders} if decoders else {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        path.write_text(yaml.safe_dump({"name": "s", "search": search}), encoding="utf-8")
        try:
            found = space_of(load_sweep(path))
        except UserError as error:
            assert all(problem.where.startswith(("search", "model", "training")) for problem in error.problems)
            return
    chance = random.Random(1)
    for template in range(len(found.templates)):
        assert found.accepts(template, found.walk(template, at_random(chance)))


def test_the_json_schema_describes_the_forms() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(yaml.safe_load(EVERYTHING.replace("1e-", "1.0e-")))
    for bad in [
        {"training.rl": {"uniform": [0, 1]}},
        {"training.lr": {"unifrom": [0, 1]}},
        {"training.lr": {"uniform": [0, 1], "choice": [1]}},
        {"training.lr": {"uniform": [0]}},
        {"training.lr": {"when": {"training.amp": "none"}}},
        {"training.epochs": {"int": [1, 2.5]}},
        {"training.epochs": {"int": {"low": 1, "high": 3, "stop": 1}}},
        {"training.optimizer": {"choice": ["adamv"]}},
        {"training.optimizer": {"choice": ["adam"], "when": {"training.ampp": "none"}}},
        {"training.optimizer": {"choice": ["adam"], "when": {"training.amp": "some"}}},
        {"training.optimizer": ["adam"]},
    ]:
        assert not validator.is_valid({"name": "s", "search": {"samples": 2, "space": bad}}), bad
