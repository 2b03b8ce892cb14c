"""What one run does with its settings: frozen encoders, weights of classes, objectives, divergence, precision."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.training import checkpoint
from experiments.training.adjustments import Adjustments
from experiments.training.execution import Execution
from experiments.training.run import DivergedError, TrainingRun, device_of
from utils.splits.folds import Fold


def state_of(run: TrainingRun, part: str) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in getattr(run.network, part).state_dict().items()}


def differing(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_a_frozen_encoder_keeps_weights_and_statistics_until_it_is_thawed(bench: Any, tmp_path: Path) -> None:
    changes = {"training.freeze_encoder_epochs": 2, "training.optimizer": "adamw", "training.epochs": 3}
    run = bench.open(bench.spec(tmp_path, changes))
    initial, decoder = state_of(run, "encoder"), state_of(run, "decoder")
    assert any(name.endswith("running_mean") for name in initial)
    for _ in range(2):
        run.step()
        assert differing(initial, state_of(run, "encoder")) == set()
    assert differing(decoder, state_of(run, "decoder")) == set(decoder)
    run.step()
    # Everything moves once it may: weights, their statistics and the count of batches.
    assert differing(initial, state_of(run, "encoder")) == set(initial)


def test_class_weights_come_from_the_training_part_alone(bench: Any, tmp_path: Path) -> None:
    labels = {"benign": 0, "malignant": 0, "normal": 0}
    for case in bench.fold.train:
        labels[case.partition("/")[0]] += 1
    assert labels == {"benign": 7, "malignant": 4, "normal": 2}
    expected = [13 / (3 * count) for count in labels.values()]
    balanced = bench.open(bench.spec(tmp_path, {"training.class_weights": "balanced"}))
    assert balanced.loss.classification.loss.weight.tolist() == pytest.approx(expected)
    assert bench.open(bench.spec(tmp_path)).loss.classification.loss.weight is None
    # Other cases to validate and test on change nothing.
    exchanged = Fold(0, bench.fold.train, bench.fold.test, bench.fold.validation)
    other = bench.open(bench.spec(tmp_path, {"training.class_weights": "balanced"}), exchanged)
    assert torch.equal(other.loss.classification.loss.weight, balanced.loss.classification.loss.weight)


def column(run: TrainingRun, metric: str) -> list[float]:
    return [epoch.validation[metric] for epoch in run.history]


@pytest.mark.parametrize(("metric", "mode"), [("false_positive_rate", "min"), ("dice", "max"), ("auroc", "max")])
def test_the_best_epoch_is_the_first_best_by_the_objective(bench: Any, tmp_path: Path, metric: str, mode: str) -> None:
    # Lesions weigh enough for something to be drawn in the normal case, too.
    loss = {"bce": {"positive_weight": 20.0}}
    changes = {"objective.metric": metric, "training.epochs": 6, "training.segmentation_loss": loss}
    spec = bench.spec(tmp_path, changes)
    assert spec.settings["objective"]["mode"] == mode
    run = bench.open(spec)
    taken = []
    while not run.done:
        run.step()
        taken.append(state_of(run, "decoder"))
    values = column(run, metric)
    assert values == [epoch.objective for epoch in run.history]
    assert len(set(values)) > 1, "an objective that never moves chooses nothing"
    best = int(np.argmin(values) if mode == "min" else np.argmax(values))
    assert run.best == (values[best], best + 1)
    run.load_best()
    assert run.adjustments == []
    assert differing(taken[best], state_of(run, "decoder")) == set()


def test_the_best_network_is_not_read_again_where_it_is_the_last(bench: Any, tmp_path: Path) -> None:
    run = bench.open(bench.spec(tmp_path, {"training.epochs": 1}))
    run.step()
    last = state_of(run, "decoder")
    (tmp_path / "best.pt").write_bytes(b"not read")
    run.load_best()
    assert differing(last, state_of(run, "decoder")) == set()
    (tmp_path / "best.pt").unlink()
    with pytest.raises(FileNotFoundError, match="the checkpoint of epoch 1 is missing"):
        run.load_best()


def without_normal_validation(fold: Fold) -> Fold:
    """The same fold, the normal case of its validation part trained on instead."""
    normal = [case for case in fold.validation if case.startswith("normal")]
    steering = tuple(case for case in fold.validation if case not in normal)
    return Fold(0, tuple(sorted((*fold.train, *normal))), steering, fold.test)


def test_an_undefined_objective_keeps_the_last_epoch_and_says_so(bench: Any, tmp_path: Path) -> None:
    fold = without_normal_validation(bench.fold)
    split_file = bench.split_of(tmp_path, fold)
    changes = {"objective.metric": "false_positive_rate", "training.epochs": 3, "training.scheduler": "plateau"}
    trained = bench.train(bench.spec(tmp_path / "trained", changes), fold)
    assert all(math.isnan(value) for value in column(trained, "false_positive_rate"))
    assert trained.best is None and not (tmp_path / "trained" / "best.pt").exists()

    spec = bench.spec(tmp_path / "executed", changes, split_file=split_file)
    bench.execute(spec)
    record = bench.record(spec)
    assert record["status"] == "complete"
    assert record["adjustments"] == ["validation objective undefined: last epoch kept"]
    assert (record["best_epoch"], record["epochs"], record["validation"]) == (3, 3, None)
    assert record["metrics"]["false_positive_rate"] is not None  # the test part has a normal case
    kept = torch.load(spec.folder / "best.pt", weights_only=True)
    assert kept["epoch"] == 3
    assert differing(dict(trained.network.state_dict()), kept["network"]) == set()


def test_early_stopping_counts_epochs_since_the_best(bench: Any, tmp_path: Path) -> None:
    changes = {"training.early_stopping": {"patience": 2}, "training.epochs": 40, "training.lr": 1e-8}
    run = bench.train(bench.spec(tmp_path / "plain", changes))
    assert run.best is not None and len(run.history) == run.best[1] + 2 < 40
    # With nothing to choose by, no epoch is better than another.
    undefined = bench.spec(tmp_path / "undefined", {**changes, "objective.metric": "false_positive_rate"})
    assert len(bench.train(undefined, without_normal_validation(bench.fold)).history) == 2


def test_a_loss_that_diverges_ends_the_run_as_failed(bench: Any, tmp_path: Path) -> None:
    changes = {"training.optimizer": "sgd", "training.lr": 10.0, "training.epochs": 30, "training.augmentation": []}
    spec = bench.spec(tmp_path, changes)
    bench.execute(spec)
    record = bench.record(spec)
    assert record["status"] == "failed"
    assert "DivergedError" in record["error"]
    epoch = record["epochs"] + 1
    assert f"epoch {epoch}" in record["error"]
    last = float(record["error"].rpartition(" ")[2])
    assert math.isfinite(last) and last > 0
    assert len(bench.epochs(spec)) == record["epochs"] if record["epochs"] else not (tmp_path / "epochs.csv").exists()
    assert "Traceback" in (tmp_path / "error.txt").read_text()


def test_a_loss_that_was_never_finite(bench: Any, tmp_path: Path) -> None:
    run = bench.open(bench.spec(tmp_path))
    with torch.no_grad():
        next(run.network.decoder.parameters()).fill_(math.inf)
    with pytest.raises(DivergedError, match=r"the training loss became nan in epoch 1; it never was finite"):
        run.step()
    assert run.history == [] and not (tmp_path / "last.pt").exists()


def test_a_network_that_diverges_in_the_last_step_of_an_epoch(bench: Any, tmp_path: Path) -> None:
    """The epoch's loss is still finite, but the weights that it left behind are not."""
    changes = {"training.batch_size": 64, "model.classification_head": False, "training.optimizer": "sgd"}
    run = bench.open(bench.spec(tmp_path, changes))
    run.optimizer.param_groups[0]["lr"] = 1e38
    with pytest.raises(DivergedError, match=r"is not finite after epoch 1, whose training loss was 0\.\d+"):
        run.step()
    assert not (tmp_path / "best.pt").exists()


def test_the_gradient_is_clipped_to_its_norm(bench: Any, tmp_path: Path) -> None:
    changes = {
        "training.optimizer": "sgd", "training.momentum": 0.0, "training.weight_decay": 0.0, "training.lr": 0.5,
        "training.batch_size": 64, "training.scheduler": "none",
    }  # fmt: skip

    def length(clip: float | None) -> float:
        spec = bench.spec(tmp_path / str(clip), {**changes, "training.gradient_clip": clip})
        run = bench.open(replace(spec, configuration="the same seed"))
        before = [parameter.detach().clone() for parameter in run.network.parameters()]
        run.step()
        moved = [parameter.detach() - old for parameter, old in zip(run.network.parameters(), before, strict=True)]
        return math.sqrt(sum(float((one.double() ** 2).sum()) for one in moved))

    free = length(None)
    assert free > 0.5 * 0.02
    assert length(0.02) == pytest.approx(0.5 * 0.02, rel=1e-3)
    assert length(1e6) == free


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_on_cpu(bench: Any, tmp_path: Path, amp: str) -> None:
    def trained(amp: str) -> TrainingRun:
        spec = bench.spec(tmp_path / amp, {"training.epochs": 2, "training.amp": amp})
        return bench.train(replace(spec, configuration="the same seed"))

    mixed, full = trained(amp), trained("none")
    assert mixed.scaler.is_enabled() == (amp == "fp16")
    assert all(value.dtype == torch.float32 for value in mixed.network.parameters())
    losses, wanted = [epoch.train_loss for epoch in mixed.history], [epoch.train_loss for epoch in full.history]
    assert losses != wanted and losses == pytest.approx(wanted, rel=0.1)
    assert mixed.history[-1].train_loss < mixed.history[0].train_loss


def test_auto_precision_is_full_on_cpu(bench: Any, tmp_path: Path) -> None:
    auto = bench.open(bench.spec(tmp_path))
    assert auto.amp is None and not auto.scaler.is_enabled()
    [loss] = [auto.step().train_loss]
    same_run = replace(bench.spec(tmp_path / "none", {"training.amp": "none"}), configuration=auto.spec.configuration)
    assert bench.open(same_run).step().train_loss == loss


def test_devices_by_name() -> None:
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("cuda:0") == torch.device("cuda", 0)
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert device_of("auto").type == best


def test_networks_start_from_the_seed_of_the_run_and_nothing_else(bench: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = bench.open(bench.spec(tmp_path / "1"))
    torch.manual_seed(2)
    second = bench.open(bench.spec(tmp_path / "2"))
    assert differing(dict(first.network.state_dict()), dict(second.network.state_dict())) == set()
    other = bench.open(bench.spec(tmp_path / "3", {"training.seed": 43}))
    assert differing(state_of(first, "decoder"), state_of(other, "decoder"))


def test_classification_weight_of_zero_teaches_no_diagnosis(bench: Any, tmp_path: Path) -> None:
    changes = {"training.classification_weight": 0.0, "training.weight_decay": 0.0}
    run = bench.open(bench.spec(tmp_path, changes))
    before = state_of(run, "classification_head")
    run.step()
    assert differing(before, state_of(run, "classification_head")) == set()


# Plain SGD multiplies weights by 1 - rate * decay in every step: by -1.5 at a rate of 10, by 0.75 at 1.
DIVERGING: dict[str, Any] = {
    "training.optimizer": "sgd",
    "training.scheduler": "none",
    "training.momentum": 0.0,
    "training.weight_decay": 0.25,
    "training.lr": 10.0,
    "training.batch_size": 2,
    "training.epochs": 5,
    "training.augmentation": [],
    "training.retry_diverged": True,
    "model.encoder": {"unet_scratch": {"width": 4}},
    "model.decoder": {"unet": {"channels": [8] * 3, "depth": 3}},
}


def test_one_retry_at_a_tenth_of_the_rate_from_the_first_epoch(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, DIVERGING)
    execution, epochs = Execution(spec), []
    while not (progress := execution.step()).ended:
        epochs.append(progress.epoch)
    diverged = epochs.index(0) + 1
    assert epochs == [*range(1, diverged), 0, *range(1, 5)]
    record = bench.record(spec)
    assert record["status"] == "complete"
    assert record["adjustments"] == [f"diverged in epoch {diverged}: learning rate 1 instead of 10"]
    assert record["settings"]["training"]["lr"] == 10.0, "what was asked for"
    assert diverged > 1, "else there would be nothing to start over"
    assert [(row["epoch"], row["lr"]) for row in bench.epochs(spec)] == [(str(epoch), "1") for epoch in range(1, 6)]


def test_the_retry_is_the_run_that_had_the_lower_rate_from_the_start(bench: Any, tmp_path: Path) -> None:
    retried, lower = bench.spec(tmp_path / "retried", DIVERGING), bench.spec(tmp_path / "lower", DIVERGING)
    bench.execute(retried)
    Adjustments(lr=1.0).write(lower.folder)
    bench.execute(lower)
    assert {**bench.record(retried), "adjustments": []} == bench.record(lower)


def test_there_is_no_second_retry(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, {**DIVERGING, "training.weight_decay": 10.0, "training.epochs": 20})
    bench.execute(spec)
    record = bench.record(spec)
    assert record["status"] == "failed" and record["error"].startswith("DivergedError: ")
    [note] = record["adjustments"]
    assert note.endswith("learning rate 1 instead of 10")
    assert f"epoch {record['epochs'] + 1}" in record["error"]


def test_without_the_wish_there_is_none(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, {**DIVERGING, "training.retry_diverged": False})
    bench.execute(spec)
    record = bench.record(spec)
    assert record["status"] == "failed" and record["adjustments"] == []
    assert f"epoch {record['epochs'] + 1}" in record["error"]


def test_killed_before_the_old_checkpoint_was_gone_it_still_begins_at_the_first_epoch(
    bench: Any, tmp_path: Path
) -> None:
    spec = bench.spec(tmp_path / "run", DIVERGING)
    execution = Execution(spec)
    execution.step()
    execution.close()
    Adjustments().at_lower_rate(10.0, 2).write(spec.folder)
    with pytest.warns(UserWarning, match="last.pt is of another run; starting over"):
        assert Execution(spec).step().epoch == 1
    assert [row["lr"] for row in bench.epochs(spec)] == ["1"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with a C++ compiler")
def test_a_compiled_network_learns_the_same_and_its_checkpoint_has_the_keys_of_one_that_is_not(
    bench: Any, tmp_path: Path
) -> None:
    def opened(name: str, **changes: Any) -> TrainingRun:
        return bench.open(bench.spec(tmp_path / name, changes, configuration="of one seed"))

    plain, compiled = opened("plain"), opened("compiled", **{"training.compile": True})
    assert compiled.step().train_loss == pytest.approx(plain.step().train_loss, rel=1e-3)
    kept = checkpoint.load(compiled.spec.folder / "best.pt", torch.device("cpu"))
    assert kept is not None and kept["network"].keys() == plain.network.state_dict().keys()
    plain.network.load_state_dict(kept["network"])
