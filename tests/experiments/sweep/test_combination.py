"""Weighted sums of losses in a sweep file: what they become, what is wrong with them, how they vary and merge."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import yaml

from experiments.leaderboard.entry import setting_cell
from experiments.sweep import Settings, nested
from experiments.sweep.schema.combination import WEIGHT
from experiments.sweep.schema.json_schema import json_schema
from utils.losses import SEGMENTATION_LOSSES, build_segmentation_loss

DICE, BCE = {"smooth": 0.0}, {"positive_weight": 1.0, "smoothing": 0.0}


def settings(loss: Any) -> Settings:
    return Settings.model_validate({"training": {"segmentation_loss": loss}})


def written(loss: Any) -> Any:
    """What a loss becomes in JSON."""
    return nested(settings(loss))["training"]["segmentation_loss"]


def ids(sweep: Any) -> list[str]:
    return [configuration.id("data", "split", "1.0.0") for configuration in sweep.configurations]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"dice": 1, "bce": 1}, {"bce": {"weight": 1.0, **BCE}, "dice": {"weight": 1.0, **DICE}}),
        ({"dice": None, "bce": 0.5}, {"bce": {"weight": 0.5, **BCE}, "dice": {"weight": 1.0, **DICE}}),
        (
            {"focal": {"gamma": 3.0, "weight": 0.5}, "dice": {"smooth": 1}},
            {"focal": {"weight": 0.5, "gamma": 3.0, "alpha": None}, "dice": {"weight": 1.0, "smooth": 1.0}},
        ),
        ({"dice": 2}, {"dice": {"weight": 2.0, **DICE}}),
    ],
)
def test_what_is_written_out(loss: Any, expected: Any) -> None:
    assert written(loss) == expected
    assert list(written(loss)) == sorted(expected)


@pytest.mark.parametrize(
    ("loss", "same"),
    [
        ("dice", {"dice": 1}),
        ({"focal": {"gamma": 3}}, {"focal": {"gamma": 3, "weight": 1.0}}),
        ("dice", {"dice": None}),
    ],
)
def test_one_loss_of_weight_one_is_that_loss(loss: Any, same: Any) -> None:
    assert settings(loss) == settings(same)
    assert WEIGHT not in str(written(same))


@pytest.mark.parametrize(
    "loss",
    ["dice", {"focal": {"gamma": 3}}, {"dice": 3}, {"dice": 1, "bce": 1}, {"focal": {"weight": 2}, "boundary": 0.01}],
)
def test_settings_survive_json(loss: Any) -> None:
    before = settings(loss)
    after = Settings.model_validate(json.loads(json.dumps(nested(before))))
    assert after == before and nested(after) == nested(before)
    assert settings(before.training.segmentation_loss) == before


def test_the_order_and_the_spelling_make_no_difference_to_the_id(load: Any) -> None:
    forms = ["{dice: 1, bce: 2}", "{bce: 2.0, dice: 1.0}", "{bce: {weight: 2}, dice: }", "{bce: {weight: 2}, dice: {}}"]
    found = {one for form in forms for one in ids(load(f"name: s\ntraining: {{segmentation_loss: {form}}}\n"))}
    assert len(found) == 1
    others = ["{dice: 2, bce: 1}", "{dice: 1, bce: 2.5}", "{dice: 1, bce: {weight: 2, smoothing: 0.1}}", "dice"]
    for form in others:
        assert ids(load(f"name: s\ntraining: {{segmentation_loss: {form}}}\n"))[0] not in found


def test_the_loss_that_is_built_is_the_sum(load: Any) -> None:
    import torch

    part = settings({"focal": {"gamma": 3.0, "weight": 0.5}, "dice": 2}).training.segmentation_loss
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 1, 8, 8, generator=generator), torch.rand(2, 1, 8, 8, generator=generator).round()
    expected = 0.5 * SEGMENTATION_LOSSES["focal"](gamma=3.0)(logits, target)
    expected += 2 * SEGMENTATION_LOSSES["dice"]()(logits, target)
    found = build_segmentation_loss(part.name, part.options)(logits, target)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert str(part) == "2 dice(smooth=0.0) + 0.5 focal(gamma=3.0, alpha=None)"


GRID = "[dice, {dice: 1, bce: 1}, {focal: {gamma: 3.0, weight: 0.5}, dice: 1}, {dice: 2}, {focal: {gamma: 3.0}}]"


@pytest.mark.parametrize("where", ["grid", "cases"])
def test_combinations_vary_and_their_cells_can_be_copied_back(load: Any, where: str) -> None:
    values = yaml.safe_load(GRID)
    key = "training.segmentation_loss"
    cases = [{"name": f"case {index}", key: value} for index, value in enumerate(values)]
    search = json.dumps({"grid": {key: values}} if where == "grid" else {"cases": cases})
    sweep = load(f"name: s\nsearch: {search}\n")
    assert len(set(ids(sweep))) == 5
    assert [c.varied["training.segmentation_loss"] for c in sweep.configurations] == values
    cells = [setting_cell(c.varied["training.segmentation_loss"]) for c in sweep.configurations]
    assert cells[1] == '{"bce":1,"dice":1}'
    copied = [load(f"name: s\ntraining:\n  segmentation_loss: {cell}\n") for cell in cells]
    assert [one for sweep_of_one in copied for one in ids(sweep_of_one)] == ids(sweep)
    if where == "grid":
        names = [c.name for c in sweep.configurations]
        assert names[1:3] == ["dice=1+bce=1", "focal(gamma=3.0, weight=0.5)+dice=1"]


def test_a_grid_may_vary_a_weight_or_an_option_of_one_loss(load: Any) -> None:
    base = "name: s\ntraining: {segmentation_loss: {dice: 1, focal: {gamma: 3, weight: 2}}}\n"
    grid = "{training.segmentation_loss.dice: [0.5, 2], training.segmentation_loss.focal.weight: [1, 4]}"
    losses = [
        {
            name: (inside["weight"], inside.get("gamma"))
            for name, inside in c.settings.training.segmentation_loss.to_json().items()
        }
        for c in load(f"{base}search: {{grid: {grid}}}\n").configurations
    ]
    assert losses == [{"dice": (dice, None), "focal": (focal, 3.0)} for dice in (0.5, 2) for focal in (1, 4)]
    text = f"{base}search: {{grid: {{training.segmentation_loss.dice.smooth: [0, 1]}}}}\n"
    assert [c.settings.training.segmentation_loss.options["losses"]["dice"] for c in load(text).configurations] == [
        {"weight": 1.0, "smooth": 0.0},
        {"weight": 1.0, "smooth": 1.0},
    ]


def test_a_combination_can_be_excluded(load: Any) -> None:
    text = f"name: s\nsearch: {{grid: {{training.segmentation_loss: {GRID}}}, exclude: [%s]}}\n"
    kept = load(text % "{training.segmentation_loss: {bce: 1.0, dice: 1}}").configurations
    assert [c.name for c in kept] == ["dice", "focal(gamma=3.0, weight=0.5)+dice=1", "dice=2", "focal(gamma=3.0)"]


LOW = "training: {segmentation_loss: {dice: 1, focal: {gamma: 3, weight: 2}}}\n"


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("{dice: 3, focal: 1}", {"dice": (3, None), "focal": (1, 3)}),  # the same losses: options are kept
        ("{dice: {smooth: 1}, focal: {gamma: 4}}", {"dice": (1, None), "focal": (2, 4)}),
        ("{dice: 1, bce: 1}", {"bce": (1, None), "dice": (1, None)}),  # others: nothing is
        ("{focal: 2}", {"focal": (2, 2)}),
    ],
)
def test_layers_merge_combinations_of_the_same_losses(load: Any, over: str, expected: Any) -> None:
    sweep = load(f"name: s\nbase: low.yaml\ntraining: {{segmentation_loss: {over}}}\n", low=LOW)
    found = sweep.settings.training.segmentation_loss.to_json()
    assert {name: (inside["weight"], inside.get("gamma")) for name, inside in found.items()} == expected


def test_overrides_reach_one_loss_of_a_combination(load: Any) -> None:
    sweep = load("name: s\nbase: low.yaml\n", "training.segmentation_loss.focal.gamma=5", low=LOW)
    assert (
        sweep.settings.training.segmentation_loss
        == settings({"dice": 1, "focal": {"gamma": 5, "weight": 2}}).training.segmentation_loss
    )
    sweep = load("name: s\nbase: low.yaml\n", "training.segmentation_loss.dice=0.1", low=LOW)
    assert (
        sweep.settings.training.segmentation_loss
        == settings({"dice": 0.1, "focal": {"gamma": 3, "weight": 2}}).training.segmentation_loss
    )
    other = load("name: s\nbase: low.yaml\n", "training.segmentation_loss.tversky.beta=0.9", low=LOW)
    assert other.settings.training.segmentation_loss.name == "tversky"


@pytest.mark.parametrize(
    ("loss", "where", "words"),
    [
        ("{dice: 1, bse: 1}", ".bse", "no such segmentation loss; got 'bse'; did you mean 'bce'? Valid: "),
        ("{dise: 1}", ".dise", "did you mean 'dice'?"),
        (
            "{dice: 1, focal: {gama: 3}}",
            ".focal.gama",
            "no such option; did you mean 'gamma'? Valid: gamma, alpha, weight",
        ),
        ("{dice: 1, focal: {wieght: 3}}", ".focal.wieght", "no such option; did you mean 'weight'?"),
        ("{dice: 1, focal: {gamma: 0.5}}", ".focal.gamma", "must be at least 1; got 0.5"),
        ("{dice: 0, bce: 1}", ".dice", "must be a positive number; got 0"),
        ("{dice: -1, bce: 1}", ".dice", "must be a positive number; got -1"),
        ("{dice: {weight: heavy}, bce: 1}", ".dice.weight", "must be a positive number; got 'heavy'"),
        ("{dice: {weight: yes}}", ".dice.weight", "must be a positive number; got 'yes'"),
        ("{dice: {weight: true}}", ".dice.weight", "must be a positive number; got True"),
        ("{dice: .inf, bce: 1}", ".dice", "must be a finite number; got inf"),
        ("{dice: {weight: .nan}, bce: 1}", ".dice.weight", "must be a finite number; got nan"),
        ("{dice: much, bce: 1}", ".dice", "must be a weight, or {option: value}"),
        ("{dice: [1], bce: 1}", ".dice", "must be a weight, or {option: value}"),
        ("{dice: much}", "", "must be a name, {name: {option: value}}, or {name: weight, name: weight}"),
        ("[dice, bce]", "", "must be a name, {name: {option: value}}, or {name: weight, name: weight}"),
    ],
)
def test_one_mistake_one_message(problems: Any, loss: str, where: str, words: str) -> None:
    [problem] = problems(f"name: s\ntraining:\n  segmentation_loss:\n    {loss}\n")
    assert problem.where == f"training.segmentation_loss{where}"
    assert words in str(problem)
    assert problem.source.endswith("sweep.yaml:4" if where else "sweep.yaml:3")
    [problem] = problems(f"name: s\nsearch:\n  grid:\n    training.segmentation_loss:\n    - dice\n    - {loss}\n")
    assert problem.where == f"search.grid.training.segmentation_loss[1]{where}"
    assert words in str(problem) and problem.source.endswith("sweep.yaml:6")


def test_all_mistakes_at_once(problems: Any) -> None:
    found = problems("name: s\ntraining: {segmentation_loss: {dise: 1, bce: -1, focal: {gama: 1, weight: x}}}\n")
    assert sorted(problem.where.removeprefix("training.segmentation_loss.") for problem in found) == [
        "bce",
        "dise",
        "focal.gama",
        "focal.weight",
    ]


def test_other_parts_are_not_combined(problems: Any) -> None:
    [problem] = problems("name: s\nmodel: {decoder: {unet: 1, linknet: 1}}\n")
    assert "must be a name, or {name: {option: value}}" in str(problem)


def test_no_loss_has_an_option_of_the_name_of_the_weight() -> None:
    assert [name for name in SEGMENTATION_LOSSES if WEIGHT in SEGMENTATION_LOSSES.options(name).model_fields] == []


def test_the_schema_for_editors_knows_the_forms() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(json_schema())

    def accepts(loss: Any) -> bool:
        grid = {"grid": {"training.segmentation_loss": [loss]}}
        answers = {
            validator.is_valid({"name": "s", "training": {"segmentation_loss": loss}}),
            validator.is_valid({"name": "s", "search": grid}),
        }
        assert len(answers) == 1
        return answers.pop()

    for loss in [*yaml.safe_load(GRID), "dice", {"dice": {"weight": 1, "smooth": 0.5}}]:
        assert accepts(loss), loss
    for loss in ["dise", {"dise": 1}, {"dice": 0}, {"dice": "1"}, {"dice": 1, "focal": {"gama": 2}}, {}]:
        assert not accepts(loss), loss


def test_weights_of_any_size_and_order_round_trip() -> None:
    dice = random.Random(0)
    names = list(SEGMENTATION_LOSSES)
    for _ in range(50):
        loss = {name: 10 ** dice.uniform(-6, 6) for name in dice.sample(names, dice.randint(1, 5))}
        shuffled = dict(dice.sample(sorted(loss.items()), len(loss)))
        assert nested(Settings.model_validate(nested(settings(loss)))) == nested(settings(shuffled))
