"""How well the drawn pixels cover the lesion's pixels: one number per case, from four counts."""

from __future__ import annotations

from utils.metrics.masks.pair import MaskPair
from utils.metrics.metric import case_metric

NO_LESION = "reference empty: not defined (NaN, left out of means); prediction empty: 0"


def ratio(numerator: float, denominator: float) -> float:
    """The quotient, or NaN where the denominator is 0."""
    return numerator / denominator if denominator else float("nan")


@case_metric("dice", empty_case=NO_LESION, reference="Dice 1945, Ecology 26(3)")
def dice(masks: MaskPair) -> float:
    """2 TP / (2 TP + FP + FN), in [0, 1]."""
    if not masks.referenced:
        return float("nan")
    return 2 * masks.true_positives / (masks.predicted + masks.referenced)


@case_metric("iou", empty_case=NO_LESION, reference="Jaccard 1912, New Phytologist 11(2)")
def iou(masks: MaskPair) -> float:
    """TP / (TP + FP + FN), in [0, 1]."""
    if not masks.referenced:
        return float("nan")
    return masks.true_positives / (masks.predicted + masks.false_negatives)


@case_metric(
    "pixel_accuracy", empty_case="always defined", reference="Maier-Hein et al. 2024, Nature Methods 21 (accuracy)"
)
def pixel_accuracy(masks: MaskPair) -> float:
    """(TP + TN) / pixels, in [0, 1]; high for anything where lesions are small."""
    return (masks.true_positives + masks.true_negatives) / masks.pixels


@case_metric("sensitivity", empty_case=NO_LESION, reference="Yerushalmy 1947, Public Health Reports 62(40)")
def sensitivity(masks: MaskPair) -> float:
    """TP / (TP + FN), in [0, 1]: the share of the lesion that was drawn."""
    return ratio(masks.true_positives, masks.referenced)


@case_metric(
    "specificity",
    empty_case="reference empty: defined; reference fills the image: not defined (NaN)",
    reference="Yerushalmy 1947, Public Health Reports 62(40)",
)
def specificity(masks: MaskPair) -> float:
    """TN / (TN + FP), in [0, 1]: the share of the background that was left alone."""
    return ratio(masks.true_negatives, masks.pixels - masks.referenced)


@case_metric("precision", empty_case=NO_LESION, reference="Powers 2011, arXiv:2010.16061 (confidence, or precision)")
def precision(masks: MaskPair) -> float:
    """TP / (TP + FP), in [0, 1]: the share of what was drawn that is lesion."""
    if not masks.referenced:
        return float("nan")
    return masks.true_positives / masks.predicted if masks.predicted else 0.0


@case_metric(
    "false_positive_rate",
    direction="min",
    empty_case="defined only where the reference is empty; NaN elsewhere",
    reference="Maier-Hein et al. 2024, Nature Methods 21 (empty references reported apart)",
)
def false_positive_rate(masks: MaskPair) -> float:
    """Drawn pixels / pixels, in [0, 1], of images without a lesion."""
    return masks.predicted / masks.pixels if not masks.referenced else float("nan")
