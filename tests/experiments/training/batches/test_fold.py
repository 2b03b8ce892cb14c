"""The batches of a run are those that its settings ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.sweep.schema.settings import TrainingSettings
from experiments.training.batches import FoldBatches, fold_batches
from utils.errors import UserError

POSITIONS = {"train": range(13), "validation": range(13, 18), "test": range(18, 24)}


def batches(bench: Any, **training: Any) -> FoldBatches:
    settings = TrainingSettings.model_validate({"batch_size": 4, **training})
    return fold_batches(bench.cache, POSITIONS, settings, torch.device("cpu"), seed=5, evaluated=8)


def test_evaluations_see_the_cases_as_they_are_in_their_order(bench: Any) -> None:
    found = batches(bench, augmentation=["noise"], augmentation_on="device")
    for part, sizes in (("validation", [5]), ("test", [6])):
        drawn = list(getattr(found, part).epoch())
        assert [len(batch.cases) for batch in drawn] == sizes
        assert torch.cat([batch.cases for batch in drawn]).tolist() == list(POSITIONS[part])
        expected = torch.from_numpy(bench.cache.images[POSITIONS[part]].copy())[:, None].float() / 255
        assert torch.equal(torch.cat([batch.images for batch in drawn]), expected)


@pytest.mark.parametrize("on", ["host", "device"])
def test_training_is_augmented_anew_in_every_epoch_and_alike_in_the_same(bench: Any, on: str) -> None:
    def images(epoch: int) -> dict[int, torch.Tensor]:
        found = batches(bench, augmentation=["rotate", "noise", "brightness_contrast"], augmentation_on=on)
        return {
            int(case): image
            for batch in found.train.epoch(epoch)
            for case, image in zip(batch.cases, batch.images, strict=True)
        }

    once, again, later = images(1), images(1), images(2)
    assert once.keys() == again.keys() and all(torch.equal(once[case], again[case]) for case in once)
    both = once.keys() & later.keys()
    assert sum(not torch.equal(once[case], later[case]) for case in both) > len(both) / 2


def test_a_case_drawn_again_is_augmented_otherwise_on_the_device_too(bench: Any) -> None:
    found = batches(bench, augmentation=["brightness_contrast"], augmentation_on="device", sampler="balanced")
    drawn = [(int(c), i) for b in found.train.epoch(3) for c, i in zip(b.cases, b.images, strict=True)]
    repeated = [case for case, _ in drawn if sum(other == case for other, _ in drawn) > 2]
    assert repeated, "balanced draws of 13 cases have repetitions"
    pictures = {tuple(image.flatten().tolist()) for case, image in drawn if case == repeated[0]}
    assert len(pictures) > 1


def test_a_resumed_run_that_augments_on_the_device_equals_an_undisturbed_one(bench: Any, tmp_path: Path) -> None:
    changes = {"training.epochs": 2, "training.augmentation_on": "device", "training.augmentation": ["rotate", "noise"]}
    whole, parted = (bench.spec(tmp_path / name, changes) for name in ("whole", "parted"))
    bench.execute(whole)
    bench.open(parted).step()
    bench.execute(parted)
    assert bench.record(parted) == bench.record(whole)
    assert (parted.folder / "cases.csv").read_bytes() == (whole.folder / "cases.csv").read_bytes()


def test_an_augmentation_that_has_no_counterpart_is_refused_with_the_sweep_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.sweep import load_sweep
    from utils.images.augmentation.batches import BATCH_AUGMENTATION

    monkeypatch.delitem(BATCH_AUGMENTATION._entries, "elastic")
    path = tmp_path / "sweep.yaml"
    training = {"augmentation": ["flip", "elastic"], "augmentation_on": "device"}
    tree = {"name": "s", "dataset": {"name": "phantom"}, "model": {"encoder_weights": "none"}, "training": training}
    path.write_text(json.dumps(tree))
    with pytest.raises(UserError) as refused:
        load_sweep(path)
    [problem] = refused.value.problems
    assert problem.where == "training.augmentation_on" and problem.value == "device"
    assert "no counterpart on the device for elastic" in problem.message
    assert "rotate" in problem.choices and "elastic" not in problem.choices
