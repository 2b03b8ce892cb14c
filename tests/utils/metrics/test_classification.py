"""Per-fold metrics against scikit-learn and torchmetrics, and what happens to absent classes."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from torchmetrics.functional import classification as torchmetrics

from utils.metrics import METRICS, fold_scores
from utils.metrics.ranking import average_ranks

CLASSES = ("benign", "malignant", "normal")


def fold(seed: int, cases: int = 60, classes: int = 3, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, cases)
    probabilities = rng.dirichlet(np.ones(classes), cases) + np.eye(classes)[labels] * 0.3
    # Rounding makes ties, which is where rank statistics go wrong.
    return labels, np.round(probabilities / probabilities.sum(1, keepdims=True), digits)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed: int) -> None:
    labels, probabilities = fold(seed)
    scores = fold_scores(labels, probabilities, CLASSES)
    predicted = probabilities.argmax(1)
    assert scores["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, predicted))
    assert scores["macro_f1"] == pytest.approx(sklearn.f1_score(labels, predicted, average="macro"))
    assert scores["balanced_accuracy"] == pytest.approx(sklearn.balanced_accuracy_score(labels, predicted))
    areas = [sklearn.roc_auc_score(labels == index, probabilities[:, index]) for index in range(3)]
    assert scores["auroc"] == pytest.approx(np.mean(areas))
    averages = [sklearn.average_precision_score(labels == index, probabilities[:, index]) for index in range(3)]
    assert scores["auprc"] == pytest.approx(np.mean(averages))
    curves = [
        sklearn.roc_curve(labels == index, probabilities[:, index], drop_intermediate=False) for index in range(3)
    ]
    found = [max(high for low, high in zip(curve[0], curve[1], strict=True) if low <= 0.05) for curve in curves]
    assert scores["sensitivity_at_95_specificity"] == pytest.approx(np.mean(found))
    assert scores["brier"] == pytest.approx(
        sum(sklearn.brier_score_loss(labels == index, probabilities[:, index].clip(0, 1)) for index in range(3))
    )


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_torchmetrics(seed: int) -> None:
    # torchmetrics applies a softmax to scores outside [0, 1], none to these.
    labels, probabilities = fold(seed, digits=6)
    scores = fold_scores(labels, probabilities, CLASSES)
    given_ = torch.from_numpy(probabilities), torch.from_numpy(labels)
    expected = {
        "accuracy": torchmetrics.multiclass_accuracy(*given_, num_classes=3, average="micro").item(),
        "macro_f1": torchmetrics.multiclass_f1_score(*given_, num_classes=3, average="macro").item(),
        "balanced_accuracy": torchmetrics.multiclass_recall(*given_, num_classes=3, average="macro").item(),
        "auroc": torchmetrics.multiclass_auroc(*given_, num_classes=3, average="macro").item(),
        "auprc": torchmetrics.multiclass_average_precision(*given_, num_classes=3, average="macro").item(),
        "ece": torchmetrics.multiclass_calibration_error(*given_, num_classes=3, n_bins=15, norm="l1").item(),
    }
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_a_class_without_cases_takes_no_part_in_means() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    scores = fold_scores(labels, probabilities, CLASSES)
    # benign: 1 hit, 2 cases, 2 given; malignant: 1 hit, 2 cases, 1 given; normal: no case
    assert scores["macro_f1"] == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert scores["accuracy"] == 0.5
    # benign: 0.8 beats both, 0.1 beats none; malignant: 0.7 and 0.3 beat 0.1 and 0.2
    assert scores["auroc"] == pytest.approx((2 / 4 + 4 / 4) / 2)
    assert scores["balanced_accuracy"] == (1 / 2 + 1 / 2) / 2
    # benign: found at 0.8 with precision 1, at 0.1 with 2 of 4; malignant: at 0.7 and 0.3 before all others
    assert scores["auprc"] == pytest.approx(((1 + 2 / 4) / 2 + 1) / 2)
    assert scores["sensitivity_at_95_specificity"] == pytest.approx((1 / 2 + 1) / 2)


def test_one_class_has_no_area_and_no_cases_have_nothing() -> None:
    only = fold_scores(np.zeros(3, int), np.full((3, 3), 1 / 3), CLASSES)
    assert math.isnan(only["auroc"]) and only["accuracy"] == 1.0 and only["macro_f1"] == 1.0
    assert all(math.isnan(value) for value in fold_scores(np.zeros(0, int), np.zeros((0, 3)), CLASSES).values())


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 3], [[1, 0, 0]] * 2, "must lie in"),
        ([0], [[1, 0]], "expected labels"),
        ([0], [[math.nan, 0, 0]], "diverged"),
    ],
)
def test_nonsense_is_refused(labels: list, probabilities: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold_scores(np.array(labels), np.array(probabilities, dtype=float), CLASSES)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 30))
def test_order_of_cases_and_monotone_rescaling_change_nothing(seed: int, classes: int, cases: int) -> None:
    labels, probabilities = fold(seed, cases, classes, digits=1)
    names = [str(index) for index in range(classes)]
    scores = fold_scores(labels, probabilities, names)
    order = np.random.default_rng(seed).permutation(cases)
    assert fold_scores(labels[order], probabilities[order], names) == pytest.approx(scores, nan_ok=True)
    # Doubling is exact, so that ties stay ties.
    assert fold_scores(labels, probabilities * 2, names)["auroc"] == pytest.approx(scores["auroc"], nan_ok=True)
    assert all(
        math.isnan(value) or METRICS[name].range[0] <= value <= METRICS[name].range[1] for name, value in scores.items()
    )


def test_one_false_alarm_in_twenty_is_allowed_and_two_are_not() -> None:
    labels = np.array([0] * 4 + [1] * 20)
    certainty = np.array([0.9, 0.7, 0.5, 0.3] + [0.6, 0.4] + [0.1] * 18)
    scores = fold_scores(labels, np.stack([certainty, 1 - certainty], axis=1))
    # 0.5 lets one of the 20 through, 0.3 a second; of the 20, all but the 2 come before any of the 4
    assert scores["sensitivity_at_95_specificity"] == pytest.approx((3 / 4 + 18 / 20) / 2)


def test_calibration_of_two_drawn_bins() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4)
    labels = np.array([0, 0, 0, 1, 0, 0, 1, 1])
    scores = fold_scores(labels, probabilities)
    # confidence 0.9 and 3 of 4 right; confidence 0.6 and 2 of 4 right
    assert scores["ece"] == pytest.approx((0.15 + 0.1) / 2)
    assert scores["brier"] == pytest.approx((3 * 0.02 + 1.62 + 2 * 0.32 + 2 * 0.72) / 8)


def test_confidence_of_one_shares_the_last_bin() -> None:
    labels, probabilities = np.array([0, 1]), np.array([[1.0, 0.0], [0.95, 0.05]])
    assert fold_scores(labels, probabilities)["ece"] == pytest.approx(abs(0.5 - 0.975))


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_average_ranks_share_ties(values: list[int]) -> None:
    ranks = average_ranks(np.array(values, dtype=float))
    below = [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]
    assert ranks.tolist() == below


def test_metrics_and_loss_names_are_known_without_torch() -> None:
    code = (
        "import sys; import utils.metrics, utils.losses as l;"
        "l.SEGMENTATION_LOSSES.check('focal', {}); l.CLASSIFICATION_LOSSES.check('focal', {});"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
