from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.journey import is_journey, load_journey
from experiments.sweep import load_sweep
from experiments.sweep.schema.json_schema import SCHEMA_FILE, json_schema, schema_text

ROOT = Path(__file__).parents[3]
FILES = sorted(path for path in (ROOT / "sweeps").glob("*.yaml") if path.name != "defaults.yaml")
JOURNEYS = [path for path in FILES if is_journey(path)]
SWEEPS = [path for path in FILES if path not in JOURNEYS]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
@pytest.mark.parametrize("demo", [False, True], ids=["full", "demo"])
def test_every_shipped_sweep_loads(path: Path, demo: bool, tmp_path: Path) -> None:
    sweep = load_sweep(path, demo=demo, results=tmp_path)
    assert sweep.name == path.stem + ("_demo" if demo else "")
    assert sweep.question
    assert sweep.configurations


@pytest.mark.parametrize("path", JOURNEYS, ids=lambda path: path.stem)
@pytest.mark.parametrize("demo", [False, True], ids=["full", "demo"])
def test_every_shipped_journey_leads_through_shipped_sweeps(path: Path, demo: bool, tmp_path: Path) -> None:
    journey = load_journey(path, demo=demo, results=tmp_path)
    assert journey.name == path.stem
    assert journey.question
    # Stages that only make sense one after the other have a folder of the journey's name.
    own = set((ROOT / "sweeps" / path.stem).glob("*.yaml"))
    assert {stage.path for stage in journey.stages} <= {*SWEEPS, *own}


def test_the_encoders_sweep_compares_its_24_encoders_in_order() -> None:
    sweep = load_sweep(ROOT / "sweeps" / "encoders.yaml")
    names = """
        resnet18 resnet34 resnet50 resnet101 resnext50_32x4d se_resnet50 densenet121 densenet169 vgg11_bn vgg16_bn
        efficientnet-b0 efficientnet-b1 efficientnet-b2 efficientnet-b3 efficientnet-b4 efficientnet-b5 efficientnet-b6
        mobilenet_v2 tu-mobilenetv3_large_100 shufflenet_v2_x1_0 mit_b0 tu-convnext_atto tu-regnety_008 xception
    """
    assert [c.settings.model.encoder.name for c in sweep.configurations] == names.split()
    assert [c.name for c in sweep.configurations] == names.split()
    assert len({c.id("a", "b", "1") for c in sweep.configurations}) == 24


def test_the_demo_keeps_the_question_and_cuts_the_cost() -> None:
    full = load_sweep(ROOT / "sweeps" / "encoders.yaml")
    demo = load_sweep(ROOT / "sweeps" / "encoders.yaml", demo=True)
    assert [c.name for c in demo.configurations] == [c.name for c in full.configurations]
    assert demo.settings.dataset.preprocessing == full.settings.dataset.preprocessing
    assert demo.settings.training.augmentation == full.settings.training.augmentation
    assert (demo.settings.dataset.name, demo.settings.dataset.root) == ("phantom", None)
    assert demo.settings.model.encoder_weights == "none"
    assert demo.resources.cpus == 1
    assert demo.settings.training.epochs < full.settings.training.epochs


def test_overrides_win_over_the_demo() -> None:
    demo = load_sweep(ROOT / "sweeps" / "encoders.yaml", ["training.epochs=17", "dataset.options.cases=30"], demo=True)
    assert demo.settings.training.epochs == 17
    assert demo.settings.dataset.options["cases"] == 30


def test_what_the_demo_decides_no_longer_varies(load: Any) -> None:
    text = """
name: s
folds: {from: folds.csv}
search:
  grid: {training.epochs: [50, 60], training.lr: [0.1, 0.2], dataset.root: [a, b]}
  cases: [{name: small, dataset.image_size: 128}, {name: large, dataset.image_size: 512}]
  exclude: [{training.epochs: 50, training.lr: 0.1}, {training.epochs: 60}]
"""
    sweep = load(text, demo=True)
    # The cases have become equal, and the first stands for both; the exclusion has lost one of its two conditions.
    assert [c.name for c in sweep.configurations] == ["small, lr=0.2"]
    assert sweep.settings.folds.from_file is None


def test_the_json_schema_is_current() -> None:
    current = SCHEMA_FILE.read_text(encoding="utf-8")
    assert current == schema_text(), "run: python -m experiments.sweep.schema"


def test_the_json_schema_knows_what_the_loader_knows() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    for path in FILES:
        assert validator.is_valid(yaml.safe_load(path.read_text(encoding="utf-8"))), path
    for bad in [
        {"training": {"lr": "fast"}},
        {"model": {"encoder": "resnet19"}},
        {"training": {"segmentation_loss": {"focal": {"gama": 2}}}},
        {"search": {"grid": {"modle.encoder": ["resnet18"]}}},
        {"search": {"grid": {"model.encoder": ["resnet19"]}}},
        {"search": {"cases": [{"training.lr": 1}]}},
        {"unknown": 1},
        {"stages": []},
        {"stages": ["first.yaml"], "model": {}},
        {"model": {"encoder": "${winner:encoders}"}},
    ]:
        assert not validator.is_valid({"name": "s", **bad}), bad
    assert validator.is_valid({"name": "s", "model": {"encoder": "tu-resnet18"}})
    reference = "${winner:encoders.training.lr:-0.1}"
    flip = {"flip": {"p": reference}}
    assert validator.is_valid({"name": "s", "training": {"lr": reference, "augmentation": [reference, flip]}})
    assert validator.is_valid({"name": "s", "search": {"grid": {"training.lr": [0.1, reference]}}})
    assert "Peak learning rate" in json.dumps(json_schema())


def test_importing_the_package_is_light() -> None:
    """The command line must answer a typing error at once."""
    code = (
        "import experiments.sweep, sys; print(*{'torch', 'ray', 'optuna', 'cv2', 'timm', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
