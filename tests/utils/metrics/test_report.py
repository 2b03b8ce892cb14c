"""The report by class and the curves, against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn

from utils.metrics import FoldPredictions, fold_scores
from utils.metrics.curves import has_curve, precision_recall_curve, reliability, roc_curve
from utils.metrics.report import classification_report

CLASSES = ("benign", "malignant", "normal")


def fold(seed: int, cases: int = 80) -> FoldPredictions:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, cases, p=[0.6, 0.3, 0.1])
    probabilities = rng.dirichlet(np.ones(3), cases) + 0.4 * np.eye(3)[labels]
    return FoldPredictions.of(labels, np.round(probabilities / probabilities.sum(axis=1, keepdims=True), 2), CLASSES)


@pytest.mark.parametrize("seed", range(4))
def test_the_report_agrees_with_scikit_learn(seed: int) -> None:
    sample = fold(seed)
    report = classification_report(sample)
    theirs = sklearn.classification_report(
        sample.labels, sample.predicted, labels=range(3), target_names=CLASSES, output_dict=True, zero_division=0
    )
    lines = {**{line.name: line for line in report.classes}, "macro avg": report.macro, "weighted avg": report.weighted}
    for name, line in lines.items():
        ours = {"precision": line.precision, "recall": line.recall, "f1-score": line.f1, "support": line.support}
        assert ours == pytest.approx(theirs[name])
    assert report.accuracy == theirs["accuracy"]
    assert (report.confusion == sklearn.confusion_matrix(sample.labels, sample.predicted)).all()


def test_the_report_as_text() -> None:
    sample = FoldPredictions.of(np.array([0, 0, 0, 1]), np.eye(3)[[0, 0, 2, 1]], CLASSES)
    assert classification_report(sample).as_text().splitlines() == [
        "               precision  recall      f1  cases",
        "benign             1.000   0.667   0.800      3",
        "malignant          1.000   1.000   1.000      1",
        "normal             0.000       -       -      0",
        "",
        "macro mean         1.000   0.833   0.900      4",
        "weighted mean      1.000   0.750   0.850      4",
        "accuracy                           0.750      4",
        "",
        "true / given   benign  malignant  normal",
        "benign              2          0       1",
        "malignant           0          1       0",
        "normal              0          0       0",
    ]


def test_a_report_of_no_cases() -> None:
    report = classification_report(FoldPredictions.of(np.zeros(0, int), np.zeros((0, 3)), CLASSES))
    assert math.isnan(report.accuracy) and math.isnan(report.macro.f1) and report.weighted.support == 0
    assert "accuracy" in report.as_text()


@pytest.mark.parametrize("seed", range(3))
def test_the_areas_of_the_curves_are_the_metrics(seed: int) -> None:
    sample = fold(seed)
    scores = fold_scores(sample.labels, sample.probabilities, CLASSES)
    roc = [roc_curve(sample, column) for column in range(3)]
    assert np.mean([curve.area for curve in roc]) == pytest.approx(scores["auroc"])
    assert [np.trapezoid(curve.y, curve.x) for curve in roc] == pytest.approx([curve.area for curve in roc])
    recall = [precision_recall_curve(sample, column) for column in range(3)]
    assert np.mean([curve.area for curve in recall]) == pytest.approx(scores["auprc"])
    for curve in roc + recall:
        assert curve.x.shape == curve.y.shape == curve.thresholds.shape and (np.diff(curve.x) >= 0).all()
        assert (curve.x[0], curve.x[-1]) == (0, 1)


def test_a_class_without_others_has_no_curve() -> None:
    sample = FoldPredictions.of(np.zeros(3, int), np.full((3, 3), 1 / 3), CLASSES)
    assert not any(has_curve(sample, column) for column in range(3))
    with pytest.raises(ValueError, match="malignant"):
        roc_curve(sample, 1)
    with pytest.raises(ValueError, match="benign"):
        precision_recall_curve(sample, 0)


def test_reliability_is_what_the_calibration_error_is_made_of() -> None:
    sample = fold(0)
    found = reliability(sample)
    used = found.counts > 0
    gaps = np.abs(found.accuracy - found.confidence)[used]
    expected = fold_scores(sample.labels, sample.probabilities)["ece"]
    assert (gaps * found.counts[used]).sum() / 80 == pytest.approx(expected)
    assert (found.confidence[used] > found.edges[:-1][used]).all()
    assert (found.confidence[used] <= found.edges[1:][used] + 1e-12).all()
    assert np.isnan(found.accuracy[~used]).all() and found.counts.sum() == 80
    assert reliability(sample, bins=5).counts.shape == (5,)
