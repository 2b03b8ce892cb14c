"""What crosses the process boundary comes out as it went in; a run's seed is that of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from experiments.sweep import Settings, nested
from experiments.training.spec import RunSpec
from utils.identity import derive_seed

TEXT = st.text(max_size=20)
PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20).map(Path)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXT, values, max_size=3),
    max_leaves=8,
)
SPECS = st.builds(
    RunSpec,
    sweep=TEXT,
    configuration=TEXT,
    name=TEXT,
    fold=st.integers(0, 99),
    settings=st.dictionaries(TEXT, JSON, max_size=4),
    folder=PATHS,
    cache=PATHS,
    split_file=PATHS,
    weights=st.none() | PATHS,
    data=TEXT,
    split=TEXT,
    code=TEXT,
    threads=st.integers(1, 64),
    device=st.sampled_from(["cpu", "cuda", "auto"]),
    gpus=st.floats(0, 8),
    packed=st.booleans(),
)


@given(spec=SPECS)
def test_json_and_back(spec: RunSpec) -> None:
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_the_settings_of_a_sweep_survive(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "dataset": {"image_size": [32, 48], "preprocessing": [{"median": {"size": 5}}, "clahe"]},
            "folds": {"from": "a.csv"},
        }
    )
    spec = make(tmp_path, settings=nested(settings))
    back = RunSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert Settings.model_validate(back.settings) == settings


def make(place: Path, **fields: Any) -> RunSpec:
    values: dict[str, Any] = {
        "sweep": "s", "configuration": "abc", "name": "resnet18", "fold": 1, "settings": {"training": {"seed": 42}},
        "folder": place, "cache": place / "c", "split_file": place / "s.csv", "weights": None,
        "data": "d", "split": "e", "code": "1.0.0",
    }  # fmt: skip
    return RunSpec(**{**values, **fields})


def test_the_seed_is_that_of_configuration_fold_and_seed(tmp_path: Path) -> None:
    seed = make(tmp_path).seed
    assert seed == derive_seed(42, "abc", 1)
    irrelevant: list[dict[str, Any]] = [
        {"sweep": "t"}, {"name": "other"}, {"folder": Path("x")}, {"cache": tmp_path}, {"split_file": tmp_path},
        {"weights": tmp_path}, {"data": "x"}, {"split": "x"}, {"code": "9"}, {"threads": 8}, {"device": "cuda"},
        {"settings": {"training": {"seed": 42, "lr": 1}, "model": {}}},
    ]  # fmt: skip
    assert {make(tmp_path, **fields).seed for fields in irrelevant} == {seed}
    decisive: list[dict[str, Any]] = [
        {"configuration": "abd"}, {"fold": 0}, {"settings": {"training": {"seed": 43}}},
    ]  # fmt: skip
    assert len({seed, *(make(tmp_path, **fields).seed for fields in decisive)}) == 4
