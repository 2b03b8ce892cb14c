from __future__ import annotations

from typing import Any

import pytest

BASE = """
name: other
question: another one
dataset: {name: busi, root: data/busi, preprocessing: [median, clahe]}
folds: {k: 5, validation: 0.2, use: 2}
training: {lr: 1e-3, epochs: 7, segmentation_loss: {focal: {gamma: 3}}, early_stopping: {patience: 4}}
search: {grid: {training.seed: [1, 2]}}
"""


def test_mappings_merge_and_lists_are_replaced(load: Any) -> None:
    sweep = load("name: s\nbase: low.yaml\ndataset: {preprocessing: [clahe]}\ntraining: {epochs: 9}\n", low=BASE)
    settings = sweep.settings
    assert (settings.training.lr, settings.training.epochs, settings.training.early_stopping.patience) == (1e-3, 9, 4)
    assert [part.name for part in settings.dataset.preprocessing] == ["clahe"]
    assert str(settings.dataset.root) == "data/busi"
    assert len(sweep.configurations) == 2


def test_name_and_question_are_a_files_own(load: Any, problems: Any) -> None:
    assert load("name: s\nbase: low.yaml\n", low=BASE).question == ""
    [problem] = problems("base: low.yaml\n", low=BASE)
    assert (problem.where, problem.message) == ("name", "is missing")


def test_search_is_replaced_as_a_whole(load: Any) -> None:
    sweep = load("name: s\nbase: low.yaml\nsearch: {cases: [{name: a}]}\n", low=BASE)
    assert [dict(c.varied) for c in sweep.configurations] == [{"case": "a"}]


def test_a_part_merges_its_options_only_with_its_own_kind(load: Any) -> None:
    same = load("name: s\nbase: low.yaml\ntraining: {segmentation_loss: {focal: {alpha: 0.5}}}\n", low=BASE)
    assert same.settings.training.segmentation_loss.options == {"gamma": 3, "alpha": 0.5}
    other = load("name: s\nbase: low.yaml\ntraining: {segmentation_loss: {bce: {smoothing: 0.1}}}\n", low=BASE)
    assert other.settings.training.segmentation_loss.options == {"positive_weight": 1, "smoothing": 0.1}
    bare = load("name: s\nbase: low.yaml\ntraining: {segmentation_loss: focal}\n", low=BASE)
    assert bare.settings.training.segmentation_loss.options["gamma"] == 2


def test_another_dataset_starts_without_root_and_options(load: Any) -> None:
    text = "name: s\nbase: low.yaml\ndataset: {name: phantom, options: {cases: 20}}\n"
    settings = load(text, low=BASE).settings
    assert settings.dataset.root is None
    assert settings.dataset.options == {"cases": 20}
    # The order of the overrides makes no difference to it.
    overrides = ["dataset.options.cases=30", "dataset.name=phantom"]
    assert load("name: s\nbase: low.yaml\n", *overrides, low=BASE).settings.dataset.options == {"cases": 30}


def test_folds_from_a_file_replace_what_the_base_says_of_them(load: Any) -> None:
    folds = load("name: s\nbase: low.yaml\nfolds: {from: folds.csv}\n", low=BASE).settings.folds
    assert str(folds.from_file) == "folds.csv"
    assert folds.use == 2


def test_bases_have_bases_and_paths_are_relative_to_each_file(load: Any, tmp_path: Any) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "middle.yaml").write_text("base: ../low.yaml\ntraining: {epochs: 8}\n")
    settings = load("name: s\nbase: sub/middle.yaml\n", low=BASE).settings
    assert (settings.training.epochs, settings.training.lr) == (8, 1e-3)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"low": "base: sweep.yaml\n"}, "low.yaml:1): leads back to itself: sweep.yaml -> low.yaml -> sweep.yaml"),
        ({"low": "base: low.yaml\n"}, "leads back to itself: low.yaml -> low.yaml"),
        ({}, "sweep.yaml:2): cannot be read: No such file"),
        ({"low": "a: [1\n"}, "low.yaml:2): is not valid YAML"),
        ({"low": "base: [1]\n"}, "must be the path of a YAML file"),
    ],
)
def test_base_files_that_cannot_be_used(problems: Any, files: dict[str, str], words: str) -> None:
    [problem] = problems("name: s\nbase: low.yaml\n", **files)
    assert words in str(problem)


def test_a_mistake_in_a_base_file_is_reported_with_its_own_line(problems: Any, tmp_path: Any) -> None:
    [problem] = problems("name: s\nbase: low.yaml\ntraining: {lr: 0.1}\n", low="training:\n  epoch: 3\n")
    assert problem.where == "training.epoch"
    assert problem.source == f"{tmp_path / 'low.yaml'}:2"
    assert problem.nearest == "epochs"


def test_overrides_win_and_are_read_as_yaml(load: Any) -> None:
    overrides = ["training.lr=1e-5", "dataset.preprocessing=[{clahe: {clip_limit: 4}}]", "dataset.root=null"]
    settings = load("name: s\nbase: low.yaml\n", *overrides, "name=other", low=BASE)
    assert settings.name == "other"
    assert settings.settings.training.lr == 1e-5
    assert settings.settings.dataset.preprocessing[0].options["clip_limit"] == 4
    assert settings.settings.dataset.root is None


def test_overrides_reach_into_the_search(load: Any) -> None:
    text = "name: s\nsearch: {grid: {model.encoder: [resnet18, resnet34], training.seed: [1, 2]}}\n"
    sweep = load(text, "search.grid.model.encoder=[mobilenet_v2]")
    assert [c.varied["model.encoder"] for c in sweep.configurations] == ["mobilenet_v2", "mobilenet_v2"]


def test_an_option_of_a_part_can_be_overridden(load: Any) -> None:
    settings = load("name: s\nbase: low.yaml\n", "training.segmentation_loss.focal.alpha=0.25", low=BASE).settings
    assert settings.training.segmentation_loss.options == {"gamma": 3, "alpha": 0.25}


def test_every_bad_override_is_reported_as_it_was_typed(problems: Any) -> None:
    found = problems("name: s\n", "training.lr=fast", "training.epoch=3")
    assert [problem.source for problem in found] == ["--set training.epoch=3", "--set training.lr=fast"]
    assert found[0].nearest == "epochs"
    unreadable = problems("name: s\n", "training.lr", "=3", "a..b=1", "training.lr=[1", "training.lr={a: 1, a: 2}")
    assert len(unreadable) == 5


def test_overriding_what_the_grid_varies_is_refused(problems: Any) -> None:
    [problem] = problems("name: s\nsearch: {grid: {training.seed: [1, 2]}}\n", "training.seed=3")
    assert problem.where == "training.seed"
    assert "--set search.grid.training.seed=[...]" in problem.message
