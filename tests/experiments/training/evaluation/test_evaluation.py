"""Scores at the image's own resolution against a second implementation, and the table that is made of them."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from experiments.training.batches import Batches, CaseDataset
from experiments.training.evaluation import (
    Evaluation,
    NotFiniteError,
    cases_csv,
    evaluate,
    inference_milliseconds,
    number,
    scores,
)
from experiments.training.history.clock import PhaseClock
from models.network import Output
from utils.errors import UserError
from utils.metrics import metric_names

CPU = torch.device("cpu")
THRESHOLD = 0.22


class Darkness(nn.Module):
    """Draws the dark pixels and diagnoses by the mean brightness: a network whose answer is known without it."""

    def __init__(self, diagnosis: bool = True, classes: int = 3) -> None:
        super().__init__()
        self.diagnosis = diagnosis
        self.slopes = nn.Parameter(torch.linspace(-9, 9, classes))

    def forward(self, images: Tensor) -> Output:
        labels = (images.mean(dim=(1, 2, 3))[:, None] - 0.3) * self.slopes if self.diagnosis else None
        return Output((THRESHOLD - images) * 40, labels)


def evaluated(
    bench: Any, positions: Any, *, batch_size: int = 4, native: bool = True, network: nn.Module | None = None
) -> Evaluation:
    batches = Batches(CaseDataset(bench.cache, positions), batch_size, CPU)
    return evaluate(network or Darkness(), batches, bench.cache, native=native)


def naive_dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    drawn = {tuple(pixel) for pixel in np.argwhere(prediction)}
    true = {tuple(pixel) for pixel in np.argwhere(reference)}
    return 2 * len(drawn & true) / (len(drawn) + len(true)) if true else math.nan


@pytest.mark.parametrize("native", [True, False])
def test_dice_against_a_naive_one_on_the_masks_of_the_dataset(bench: Any, native: bool) -> None:
    found = evaluated(bench, range(24), native=native)
    expected = []
    for position, case in enumerate(bench.dataset.cases()):
        image = torch.tensor(np.array(bench.cache.images[position]))[None, None].double() / 255
        maps = torch.sigmoid((THRESHOLD - image) * 40)
        if native:
            mask = bench.dataset.read_mask(case)
            maps = nn.functional.interpolate(maps, mask.shape, mode="bilinear", align_corners=False)
        else:
            mask = np.array(bench.cache.masks[position])
        expected.append(naive_dice(maps[0, 0].numpy() > 0.5, mask))
    scores = [case.scores["dice"] for case in found.cases]
    # The two ways to interpolate may disagree on a pixel that lies on the threshold.
    assert scores == pytest.approx(expected, abs=2e-3, nan_ok=True)
    assert found.metrics["dice"] == pytest.approx(np.nanmean(expected), abs=1e-3)
    assert np.isnan(expected).sum() == 4 and 0.1 < np.nanmean(expected) < 0.95, "the network must be neither"


def test_the_two_resolutions_are_two_scores(bench: Any) -> None:
    native, small = evaluated(bench, range(24)), evaluated(bench, range(24), native=False)
    assert native.metrics["dice"] != pytest.approx(small.metrics["dice"], abs=1e-4)
    assert native.metrics["accuracy"] == small.metrics["accuracy"]


@pytest.mark.parametrize("batch_size", [1, 5, 24, 100])
def test_results_in_cache_order_whatever_the_batches(bench: Any, batch_size: int) -> None:
    positions = np.random.default_rng(batch_size).permutation(24).tolist()
    ours, theirs = evaluated(bench, positions, batch_size=batch_size), evaluated(bench, range(24))
    assert [case.position for case in ours.cases] == list(range(24))
    for one, other in zip(ours.cases, theirs.cases, strict=True):
        assert one.scores == pytest.approx(other.scores, nan_ok=True)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert ours.metrics == pytest.approx(theirs.metrics, nan_ok=True)


@pytest.mark.parametrize("scorers", [1, 3])
def test_threads_that_score_meanwhile_change_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch, scorers: int) -> None:
    monkeypatch.setattr(scores, "_WAITING_EACH", 2)  # fewer than there are cases
    batches = Batches(CaseDataset(bench.cache, range(24)), 5, CPU)
    network, clock = Darkness(), PhaseClock()
    ours = evaluate(network, batches, bench.cache, native=True, keep=[3, 20], clock=clock, scorers=scorers)  # type: ignore[arg-type]
    theirs = evaluate(network, batches, bench.cache, native=True, keep=[3, 20])  # type: ignore[arg-type]
    assert repr(ours.cases) == repr(theirs.cases) and repr(ours.metrics) == repr(theirs.metrics)
    assert {position: kept.tolist() for position, kept in ours.maps.items()} == {
        position: kept.tolist() for position, kept in theirs.maps.items()
    }
    assert clock.spent()["metrics"] > 0


def test_errors_of_the_network_and_of_threads_that_score_reach_the_caller(bench: Any) -> None:
    network, batches = Darkness(), Batches(CaseDataset(bench.cache, range(24)), 5, CPU)
    with pytest.raises(UserError, match="no such metric"):
        evaluate(network, batches, bench.cache, native=True, options={"dise": {}}, scorers=2)  # type: ignore[arg-type]
    with torch.no_grad():
        network.slopes[:] = math.nan
    with pytest.raises(NotFiniteError):
        evaluate(network, batches, bench.cache, native=True, scorers=2)  # type: ignore[arg-type]


def test_the_metrics_are_means_of_the_defined_cases(bench: Any) -> None:
    found = evaluated(bench, range(24))
    assert set(found.metrics) == set(metric_names())
    for name in metric_names("case"):
        values = [case.scores[name] for case in found.cases]
        assert found.metrics[name] == pytest.approx(np.nanmean(values))
    right = [case.probabilities.argmax() == bench.cache.labels[case.position] for case in found.cases]
    assert found.metrics["accuracy"] == pytest.approx(np.mean(right))
    only_normal = evaluated(bench, [23])
    assert bench.cache.classes[bench.cache.labels[23]] == "normal"
    assert math.isnan(only_normal.metrics["dice"]) and only_normal.metrics["false_positive_rate"] > 0


def test_the_network_is_evaluated_in_eval_mode_and_left_as_it_was(bench: Any) -> None:
    run_network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), Darkness())
    before = {name: value.clone() for name, value in run_network.state_dict().items()}
    run_network.train()
    first = evaluated(bench, range(24), network=run_network)
    assert not run_network.training
    assert all(torch.equal(value, before[name]) for name, value in run_network.state_dict().items())
    assert [case.scores["iou"] for case in first.cases[:5]] == [
        case.scores["iou"] for case in evaluated(bench, range(5), network=run_network).cases
    ]


class Broken(nn.Module):
    """Answers NaN for the mask or the diagnosis of bright images, as weights do that have overflown."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, images: Tensor) -> Output:
        masks, labels = Darkness()(images)[:2]
        bad = images.mean(dim=(1, 2, 3)) >= images.mean(dim=(1, 2, 3)).max()
        (masks if self.what == "mask" else labels)[bad] = math.nan
        return Output(masks, labels)


@pytest.mark.parametrize("what", ["mask", "diagnosis"])
@pytest.mark.parametrize("native", [True, False])
def test_nan_is_no_empty_mask(bench: Any, what: str, native: bool) -> None:
    with pytest.raises(NotFiniteError, match=r"answer to '.+ \(\d+\)' is not finite"):
        evaluated(bench, range(24), network=Broken(what), native=native)


def rows(bench: Any, found: Evaluation) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(cases_csv(found, bench.cache, bench.groups))))


def test_the_table_of_cases(bench: Any) -> None:
    found = evaluated(bench, [20, 3, 11])
    table = rows(bench, found)
    assert list(table[0]) == [
        *("case", "group", "label", "predicted"),
        *("probability_benign", "probability_malignant", "probability_normal"),
        *metric_names("case"),
    ]
    assert [row["case"] for row in table] == [bench.cache.ids[position] for position in (3, 11, 20)]
    for row, case in zip(table, found.cases, strict=True):
        probabilities = {name: float(row[f"probability_{name}"]) for name in bench.cache.classes}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert row["predicted"] == max(probabilities, key=lambda name: probabilities[name])
        assert row["label"] == row["case"].partition("/")[0]
        assert row["group"] == bench.groups[row["case"]]
        for name in metric_names("case"):
            value = float(row[name]) if row[name] else math.nan
            assert value == pytest.approx(case.scores[name], rel=1e-8, nan_ok=True)
    normal = table[-1]
    assert normal["label"] == "normal"
    assert normal["dice"] == "" and normal["false_positive_rate"] != ""
    assert table[0]["dice"] != "" and table[0]["false_positive_rate"] == ""


def test_probabilities_of_every_case_sum_to_one(bench: Any) -> None:
    for case in evaluated(bench, range(24)).cases:
        assert case.probabilities.shape == (3,) and (case.probabilities >= 0).all()
        assert case.probabilities.sum() == pytest.approx(1, abs=1e-6)


def test_without_a_diagnosis_nothing_is_said_of_one(bench: Any) -> None:
    found = evaluated(bench, range(24), network=Darkness(diagnosis=False))
    assert set(found.metrics) == set(metric_names("case"))
    table = rows(bench, found)
    assert list(table[0]) == ["case", "group", "label", "predicted", *metric_names("case")]
    assert {row["predicted"] for row in table} == {""}


def test_numbers_of_a_table() -> None:
    assert number(math.nan) == "" and number(0.0) == "0" and number(1.0) == "1"
    assert number(1 / 3) == "0.333333333" and float(number(1.23456789e-12)) == 1.23456789e-12


def test_inference_is_timed_on_one_image(bench: Any) -> None:
    class Counting(Darkness):
        sizes: list[int] = []  # noqa: RUF012

        def forward(self, images: Tensor) -> Output:
            self.sizes.append(len(images))
            return super().forward(images)

    batches = Batches(CaseDataset(bench.cache, range(9)), 4, CPU)
    milliseconds = inference_milliseconds(Counting(), batches, CPU, repeats=3)
    assert 0 < milliseconds < 1000
    assert Counting.sizes == [1] * 4
    inference_milliseconds(Counting(), batches, CPU, patience=0.0)
    assert Counting.sizes == [1] * 8, "slow networks are timed three times"
