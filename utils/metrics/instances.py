"""Whether each lesion was found and how well it was drawn: one number per case, from pairs of instances.

The true instances are the labelled ones where the data has them, else the connected components of
the reference; the drawn ones are always connected components (`masks/components.py`).
"""

from __future__ import annotations

import numpy as np

from utils.metrics.masks.components import InstanceOverlaps
from utils.metrics.masks.pair import MaskPair
from utils.metrics.metric import case_metric
from utils.metrics.overlap import NO_LESION

PANOPTIC = "Kirillov et al. 2019, CVPR, arXiv:1801.00868"


@case_metric("pq", empty_case=NO_LESION, reference=f"{PANOPTIC} (panoptic quality)")
def pq(masks: MaskPair) -> float:
    """sq * rq = sum of the matched pairs' IoU / (TP + FP / 2 + FN / 2), in [0, 1]; matched: IoU > 0.5."""
    return sq(masks) * rq(masks)


@case_metric(
    "sq",
    empty_case="reference empty: not defined (NaN, left out of means); no instance matched: 0",
    reference=f"{PANOPTIC} (segmentation quality)",
)
def sq(masks: MaskPair) -> float:
    """The mean IoU of the matched pairs, in {0} or (0.5, 1]: how well found instances were drawn."""
    if not masks.referenced:
        return float("nan")
    overlaps = masks.overlaps
    return float(overlaps.iou[overlaps.matched].mean()) if overlaps.matched.any() else 0.0


@case_metric("rq", empty_case=NO_LESION, reference=f"{PANOPTIC} (recognition quality)")
def rq(masks: MaskPair) -> float:
    """TP / (TP + FP / 2 + FN / 2), in [0, 1], counted in instances: the F1 of finding them."""
    if not masks.referenced:
        return float("nan")
    overlaps = masks.overlaps
    found = int(overlaps.matched.sum())
    return 2 * found / (overlaps.predicted_areas.size + overlaps.referenced_areas.size)


@case_metric(
    "aji", empty_case=NO_LESION, reference="Kumar et al. 2017, IEEE TMI 36(7), algorithm 1 (aggregated Jaccard index)"
)
def aji(masks: MaskPair) -> float:
    """Shared / united pixels over all instances, in [0, 1]; each true one with the drawn one of highest IoU.

    Drawn instances that no true one chose are united with nothing. One that two true instances
    chose counts twice, which `aji_plus` mends.
    """
    if not masks.referenced:
        return float("nan")
    return _aggregated(masks.overlaps, _best_of_each_reference(masks.overlaps))


@case_metric(
    "aji_plus",
    empty_case=NO_LESION,
    reference="Graham et al. 2019, Medical Image Analysis 58, arXiv:1812.06499 (AJI with one-to-one pairs)",
)
def aji_plus(masks: MaskPair) -> float:
    """As `aji`, with each drawn instance in at most one pair: those pairs of the greatest sum of IoU."""
    if not masks.referenced:
        return float("nan")
    return _aggregated(masks.overlaps, _best_assignment(masks.overlaps))


def _aggregated(overlaps: InstanceOverlaps, pairs: np.ndarray) -> float:
    """The chosen pairs' shared pixels / their united pixels and all pixels of instances in no pair."""
    alone = _outside(overlaps.predicted_areas, overlaps.predicted[pairs])
    alone += _outside(overlaps.referenced_areas, overlaps.referenced[pairs])
    return float(overlaps.shared[pairs].sum() / (overlaps.united[pairs].sum() + alone))


def _outside(areas: np.ndarray, chosen: np.ndarray) -> int:
    """The area of all instances but the chosen ones, some of which may be named twice."""
    return int(areas.sum() - areas[np.unique(chosen)].sum())


def _best_of_each_reference(overlaps: InstanceOverlaps) -> np.ndarray:
    """For each true instance that anything overlaps, its pair of highest IoU; the first of equals."""
    order = np.lexsort((overlaps.predicted, -overlaps.iou, overlaps.referenced))
    _, first = np.unique(overlaps.referenced[order], return_index=True)
    return order[first]


def _best_assignment(overlaps: InstanceOverlaps) -> np.ndarray:
    """The pairs, no instance in two of them, with the greatest sum of IoU."""
    from scipy.optimize import linear_sum_assignment

    drawn, rows = np.unique(overlaps.predicted, return_inverse=True)
    true, columns = np.unique(overlaps.referenced, return_inverse=True)
    pair = np.full((drawn.size, true.size), -1)
    pair[rows, columns] = np.arange(rows.size)
    iou = np.zeros(pair.shape)
    iou[rows, columns] = overlaps.iou
    chosen = pair[linear_sum_assignment(iou, maximize=True)]
    return chosen[chosen >= 0]
