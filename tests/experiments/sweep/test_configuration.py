from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from experiments.sweep import Settings, load_sweep
from experiments.sweep.configuration import identity
from experiments.sweep.schema.sweep_file import SweepFile

FIXED: dict[str, Any] = {
    "name": "s",
    "dataset": {"name": "phantom", "image_size": 64, "preprocessing": ["median", "clahe"]},
    "folds": {"k": 4, "seed": 3},
    "training": {"lr": 0.01, "epochs": 5, "segmentation_loss": {"focal": {"gamma": 3, "alpha": 0.5}}},
    "search": {"grid": {"model.encoder": ["resnet18", "vgg11"], "training.seed": [1, 2]}},
}


def ids(folder: Path, sweep: dict[str, Any]) -> set[str]:
    path = folder / "s.yaml"
    path.write_text(json.dumps(sweep))
    return {c.id("data", "split", "1.0.0") for c in load_sweep(path).configurations}


def shuffled(value: Any, draw: Any) -> Any:
    if isinstance(value, dict):
        keys = draw(st.permutations(sorted(value)))
        return {key: shuffled(value[key], draw) for key in keys}
    return value


@hypothesis_settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_ids_do_not_depend_on_the_order_of_anything(tmp_path_factory: Any, data: Any) -> None:
    folder = tmp_path_factory.mktemp("sweep")
    other = shuffled(FIXED, data.draw)
    grid = other["search"]["grid"]
    other["search"] = {"grid": {key: data.draw(st.permutations(grid[key])) for key in grid}}
    assert ids(folder, other) == ids(folder, FIXED)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other", "question": "Why?"},
        {"resources": {"gpus": 0.5, "cpus": 4, "retries": 0, "slots": 1}},
        {"racing": {"alpha": 0.2, "margin": 0.1}},
        {"folds": {"k": 5, "seed": 4, "use": 1}},  # the split has its own hash
        {"dataset": {**FIXED["dataset"], "root": "elsewhere", "on_error": "skip", "options": {"cases": 20}}},
        {"training": {**FIXED["training"], "optimizer": "adamw", "momentum": 0.9}},  # the defaults
    ],
)
def test_ids_do_not_depend_on_what_determines_no_result(tmp_path: Path, change: dict[str, Any]) -> None:
    assert ids(tmp_path, {**FIXED, **change}) == ids(tmp_path, FIXED)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {**FIXED["dataset"], "image_size": [64, 96]}},
        {"dataset": {**FIXED["dataset"], "preprocessing": ["clahe", "median"]}},
        {"training": {**FIXED["training"], "lr": 0.02}},
        {"training": {**FIXED["training"], "segmentation_loss": {"focal": {"gamma": 3}}}},
        {"objective": {"metric": "iou"}},
        {"model": {"classification_head": False}},
    ],
)
def test_ids_depend_on_every_setting(tmp_path: Path, change: dict[str, Any]) -> None:
    assert not ids(tmp_path, {**FIXED, **change}) & ids(tmp_path, FIXED)


def test_ids_depend_on_data_split_and_code(load: Any) -> None:
    [configuration] = load("name: s\n").configurations
    different = {
        configuration.id(*parts) for parts in [("a", "b", "1"), ("x", "b", "1"), ("a", "x", "1"), ("a", "b", "2")]
    }
    assert len(different) == 4
    assert all(len(one) == 12 and set(one) <= set("0123456789abcdef") for one in different)


def test_two_ways_to_say_the_same_are_one_configuration(load: Any) -> None:
    plain = load("name: s\ntraining: {segmentation_loss: focal}\ndataset: {image_size: 64}\n")
    wordy = load("name: s\ntraining: {segmentation_loss: {focal: {gamma: 2}}}\ndataset: {image_size: [64, 64]}\n")
    assert plain.configurations[0].id("a", "b", "1") == wordy.configurations[0].id("a", "b", "1")


def test_only_what_differs_from_the_defaults_is_hashed(load: Any) -> None:
    assert identity(Settings()) == {}
    text = (
        "name: s\ntraining: {lr: 0.1, early_stopping: {patience: 3}, segmentation_loss: focal}\nfolds: {from: a.csv}\n"
    )
    expected: dict[str, Any] = {"lr": 0.1, "early_stopping": {"patience": 3}, "segmentation_loss": "focal"}
    assert identity(load(text).settings) == {"training": expected}

    # So it is with the options of a part, of each part in a list, and of each loss in a combination.
    text += "model: {decoder: {fpn: {dropout: 0.2, pyramid_channels: 64}}}\ndataset: {preprocessing: [median]}\n"
    found = identity(load(text.replace("focal", "{focal: {gamma: 3}, bce: 2}")).settings)
    assert found["model"] == {"decoder": {"fpn": {"pyramid_channels": 64}}}
    assert found["dataset"] == {"preprocessing": ["median"]}
    assert found["training"]["segmentation_loss"] == {"bce": {"weight": 2.0}, "focal": {"gamma": 3.0, "weight": 1.0}}


def test_the_public_keys_and_their_defaults() -> None:
    """A key that is added, renamed or removed shows in the diff of keys.txt, and so does a default.

    A setting at its default is no part of a configuration's id (see `Configuration.id`). So a changed line
    needs another version of the training code; a new line needs a default that means "as before".
    """

    def lines(values: dict[str, Any], above: str = "") -> list[str]:
        found = []
        for key, value in values.items():
            section = isinstance(value, dict) and value and f"{above}{key}" in sections
            found += lines(value, f"{above}{key}.") if section else [f"{above}{key} = {json.dumps(value)}"]
        return found

    sections = {"dataset", "folds", "model", "training", "training.early_stopping", "objective", "search", "racing"}
    sections |= {"search.budget", "resources", "notify"}
    file = SweepFile(name="required")
    golden = Path(__file__).with_name("keys.txt").read_text(encoding="utf-8").splitlines()
    assert lines(file.model_dump(mode="json", by_alias=True)) == golden
