"""Sweeps whose folds the data name: a whole source held out, or the parts of a publication."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.preparation import PlannedConfiguration, open_sources, survey
from experiments.sweep import Sweep, load_sweep
from utils.datasets.miniatures import write_miniature
from utils.errors import UserError

Load = Callable[[str], Sweep]
JOINED = """\
dataset:
  name: joined
  image_size: 32
  options:
    sources:
      north: {name: phantom, options: {cases: 24, height: 64, width: 64, near_duplicates: 0}}
      south: {name: phantom, options: {cases: 30, height: 64, width: 64, near_duplicates: 0, seed: 8}}
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> Sweep:
        path = tmp_path / "s.yaml"
        path.write_text(f"name: s\nmodel: {{encoder_weights: none}}\n{text}", encoding="utf-8")
        return load_sweep(path)

    return load


def planned(sweep: Sweep) -> PlannedConfiguration:
    [one] = survey(sweep, open_sources(sweep, lambda stage, done, total: None)).planned
    return one


def test_each_source_is_tested_by_what_was_trained_on_the_others(load: Load) -> None:
    split = planned(load(JOINED + "folds: {from: source, validation: 0.2}\n")).split
    tested = [{case.partition("/")[0] for case in fold.test} for fold in split.folds]
    assert tested == [{"north"}, {"south"}]
    assert [len(fold.test) for fold in split.folds] == [24, 30]
    assert planned(load(JOINED + "folds: {from: source, validation: 0.2, use: 1}\n")).folds == 1


def test_the_datas_own_parts(load: Load, tmp_path: Path) -> None:
    root = write_miniature("manifest", tmp_path / "data", 12)
    text = f"dataset: {{name: manifest, root: {root}, image_size: 32}}\nfolds: {{from: split}}\n"
    (fold,) = planned(load(text)).split.folds
    assert {case.partition("/")[2][:3] for case in fold.test} == {"p09", "p10", "p11"}
    by_source = planned(load(text.replace("split", "source"))).split
    assert len(by_source.folds) == 2


def test_keys_that_the_data_make_superfluous_are_told(load: Load) -> None:
    with pytest.raises(UserError) as caught:
        load(JOINED + "folds: {from: source, k: 5, validation: 0.2}\n")
    (problem,) = caught.value.problems
    assert problem.where == "folds.k" and "leave k or from out" in problem.message
    with pytest.raises(UserError, match=r"must be the path of a CSV, or source or split; got 3"):
        load(JOINED + "folds: {from: 3}\n")


def test_data_that_name_no_folds_are_told(load: Load) -> None:
    with pytest.raises(UserError, match="24 of 24 cases do not say their source"):
        planned(load("dataset: {name: phantom, options: {cases: 24}}\nfolds: {from: source}\n"))


def test_a_file_cannot_be_called_like_one(load: Load) -> None:
    assert load("folds: {from: source.csv}\n").settings.folds.from_file == Path("source.csv")
    with pytest.raises(UserError, match="must be the path of a CSV, or source or split"):
        load("folds: {from: ./source}\n")


def test_a_mistake_in_a_source_is_told_in_the_terms_of_the_file(load: Load) -> None:
    with pytest.raises(UserError, match=r"dataset\.options\.sources\.north\.root: no such folder"):
        planned(
            load(JOINED.replace("north: {name: phantom", "north: {name: mias, root: none}\n      east: {name: phantom"))
        )
