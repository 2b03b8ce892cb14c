"""Per-fold metrics against scikit-learn and torchmetrics, and what happens to absent classes."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from torchmetrics.functional import classification as torchmetrics

from utils.metrics import fold_scores
from utils.metrics.classification import average_ranks

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
    areas = [sklearn.roc_auc_score(labels == index, probabilities[:, index]) for index in range(3)]
    assert scores["auroc"] == pytest.approx(np.mean(areas))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_torchmetrics(seed: int) -> None:
    # torchmetrics applies a softmax to scores outside [0, 1], none to these.
    labels, probabilities = fold(seed, digits=6)
    scores = fold_scores(labels, probabilities, CLASSES)
    given_ = torch.from_numpy(probabilities), torch.from_numpy(labels)
    expected = {
        "accuracy": torchmetrics.multiclass_accuracy(*given_, num_classes=3, average="micro").item(),
        "macro_f1": torchmetrics.multiclass_f1_score(*given_, num_classes=3, average="macro").item(),
        "auroc": torchmetrics.multiclass_auroc(*given_, num_classes=3, average="macro").item(),
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


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 30))
def test_order_of_cases_and_monotone_rescaling_change_nothing(seed: int, classes: int, cases: int) -> None:
    labels, probabilities = fold(seed, cases, classes, digits=1)
    names = [str(index) for index in range(classes)]
    scores = fold_scores(labels, probabilities, names)
    order = np.random.default_rng(seed).permutation(cases)
    assert fold_scores(labels[order], probabilities[order], names) == pytest.approx(scores, nan_ok=True)
    # Doubling is exact, so that ties stay ties.
    assert fold_scores(labels, probabilities * 2, names)["auroc"] == pytest.approx(scores["auroc"], nan_ok=True)
    assert all(math.isnan(value) or 0 <= value <= 1 for value in scores.values())


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
