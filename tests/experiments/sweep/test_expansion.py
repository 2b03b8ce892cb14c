from __future__ import annotations

import itertools
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from experiments.sweep import Settings, load_sweep, nested


def test_without_a_search_there_is_one_configuration(load: Any) -> None:
    sweep = load("name: s\n")
    assert [c.name for c in sweep.configurations] == ["base"]
    assert sweep.varied == ()
    assert sweep.settings == sweep.configurations[0].settings == Settings()


def test_grid_and_cases_multiply_in_the_order_of_the_file(load: Any) -> None:
    sweep = load(
        """
name: s
search:
  grid: {training.seed: [2, 1], model.encoder: [resnet34, resnet18]}
  cases: [{name: plain}, {name: focal, training.segmentation_loss: focal, training.lr: 1e-4}]
  exclude: [{case: focal, model.encoder: resnet18}]
"""
    )
    assert sweep.varied == (
        "case",
        "training.segmentation_loss",
        "training.lr",
        "training.seed",
        "model.encoder",
    )
    assert [c.name for c in sweep.configurations] == [
        "plain, seed=2, encoder=resnet34",
        "plain, seed=2, encoder=resnet18",
        "plain, seed=1, encoder=resnet34",
        "plain, seed=1, encoder=resnet18",
        "focal, seed=2, encoder=resnet34",
        "focal, seed=1, encoder=resnet34",
    ]
    assert dict(sweep.configurations[0].varied) == {
        "case": "plain",
        "training.segmentation_loss": "dice_bce",
        "training.lr": 3e-4,
        "training.seed": 2,
        "model.encoder": "resnet34",
    }
    assert sweep.configurations[-1].settings.training.segmentation_loss.name == "focal"


@pytest.mark.parametrize(
    ("key", "values", "names"),
    [
        ("model.encoder", "[resnet18, tu-convnext_atto]", ["resnet18", "tu-convnext_atto"]),
        ("dataset.preprocessing", "[[], [median, clahe]]", ["none", "median+clahe"]),
        ("dataset.image_size", "[64, [96, 128]]", ["64", "96x128"]),
        ("training.segmentation_loss", "[dice, {focal: {gamma: 2.5}}]", ["dice", "focal(gamma=2.5)"]),
        ("model.classification_head", "[true, false]", ["true", "false"]),
        ("training.gradient_clip", "[null, 1]", ["none", "1"]),
        ("training.segmentation_loss.focal.gamma", "[1, 3]", ["1", "3"]),
    ],
)
def test_names_are_what_people_would_say(load: Any, key: str, values: str, names: list[str]) -> None:
    sweep = load(f"name: s\nsearch: {{grid: {{{key}: {values}}}}}\n")
    assert [c.name for c in sweep.configurations] == names


def test_a_case_may_name_another_dataset_and_its_options_in_any_order(load: Any) -> None:
    text = """
name: s
dataset: {name: busi, root: data/busi}
search: {cases: [{name: real}, {name: made, dataset.options.cases: 12, dataset.name: phantom}]}
"""
    real, made = load(text).configurations
    assert str(real.settings.dataset.root) == "data/busi"
    assert (made.settings.dataset.root, made.settings.dataset.options) == (None, {"cases": 12})
    assert real.varied["dataset.options.cases"] is None


def test_the_objective_takes_the_metrics_own_direction(load: Any) -> None:
    from utils.metrics import METRICS

    smaller = [name for name, metric in METRICS.items() if metric.direction == "min"]
    for metric in ["dice", *smaller]:
        assert load(f"name: s\nobjective: {{metric: {metric}}}\n").objective.mode == METRICS[metric].direction


def test_settings_survive_json_and_pickle(load: Any) -> None:
    sweep = load(
        "name: s\nfolds: {from: a.csv}\ndataset: {image_size: [64, 96], preprocessing: [median]}\n"
        "training: {segmentation_loss: {focal: {gamma: 3}}}\n"
    )
    text = json.dumps(nested(sweep.settings))
    assert Settings.model_validate(json.loads(text)) == sweep.settings
    assert nested(sweep.settings) == sweep.settings.model_dump(mode="json")
    assert json.loads(text)["folds"]["from"] == "a.csv"
    assert pickle.loads(pickle.dumps(sweep)) == sweep
    assert sweep.settings.dataset.height_width == (64, 96)


values = {
    "training.seed": st.integers(0, 9),
    "training.lr": st.floats(1e-5, 1, allow_nan=False),
    "model.encoder": st.sampled_from(["resnet18", "resnet34", "vgg11"]),
    "training.epochs": st.integers(1, 50),
    "dataset.image_size": st.sampled_from([64, 96, [64, 96]]),
}
grids = st.dictionaries(st.sampled_from(sorted(values)), st.none(), min_size=1, max_size=3).flatmap(
    lambda keys: st.fixed_dictionaries(
        {key: st.lists(values[key], min_size=1, max_size=3, unique_by=str) for key in keys}
    )
)


@hypothesis_settings(max_examples=40, deadline=None)
@given(grid=grids)
def test_the_grid_expands_as_itertools_would(tmp_path_factory: Any, grid: dict[str, list[Any]]) -> None:
    path = tmp_path_factory.mktemp("sweep") / "s.yaml"
    path.write_text(json.dumps({"name": "s", "search": {"grid": grid}}))
    sweep = load_sweep(path)
    expected = [dict(zip(grid, row, strict=True)) for row in itertools.product(*grid.values())]
    assert [dict(c.varied) for c in sweep.configurations] == expected
    assert len({c.name for c in sweep.configurations}) == len(expected)
