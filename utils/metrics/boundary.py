"""How far the drawn border lies from the lesion's border: one number per case, in pixels or mm.

Borders are those of MONAI (`masks/surfaces.py`), so are the numbers. Distances are in pixels, or in
mm where the data has a pixel spacing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from utils.metrics.masks.pair import MaskPair
from utils.metrics.masks.surfaces import SurfaceDistances
from utils.metrics.metric import case_metric

FURTHEST = "reference empty: not defined (NaN, left out of means); prediction empty: the image's diagonal"
UNIT = "px or mm"
INFINITY = float("inf")


def distance(masks: MaskPair, measure: Callable[[SurfaceDistances], float]) -> float:
    """A distance between the borders, with the answers for masks that have none."""
    if not masks.referenced:
        return float("nan")
    return measure(masks.surfaces) if masks.predicted else masks.diagonal


@case_metric(
    "hd95",
    direction="min",
    range=(0.0, INFINITY),
    unit=UNIT,
    empty_case=FURTHEST,
    reference="Huttenlocher et al. 1993, IEEE TPAMI 15(9); the larger directed 95th percentile as in MONAI",
)
def hd95(masks: MaskPair) -> float:
    """The distance that 95 % of either border's pixels keep to the other border."""
    return distance(masks, lambda surfaces: surfaces.percentile(95))


@case_metric(
    "hausdorff",
    direction="min",
    range=(0.0, INFINITY),
    unit=UNIT,
    empty_case=FURTHEST,
    reference="Huttenlocher et al. 1993, IEEE TPAMI 15(9)",
)
def hausdorff(masks: MaskPair) -> float:
    """The distance that all pixels of either border keep to the other border; one stray pixel decides it."""
    return distance(masks, lambda surfaces: surfaces.percentile(100))


@case_metric(
    "assd",
    direction="min",
    range=(0.0, INFINITY),
    unit=UNIT,
    empty_case=FURTHEST,
    reference="Heimann et al. 2009, IEEE TMI 28(8) (average symmetric surface distance)",
)
def assd(masks: MaskPair) -> float:
    """The mean distance of the pixels of both borders to the other border."""
    return distance(masks, SurfaceDistances.mean)


@case_metric(
    "nsd",
    empty_case="reference empty: not defined (NaN, left out of means); prediction empty: 0",
    reference="Nikolov et al. 2021, JMIR 23(7), arXiv:1809.04430 (surface Dice at a tolerance)",
)
def nsd(masks: MaskPair, *, tolerance: Annotated[float, Field(ge=0)] = 2.0) -> float:
    """The share of both borders that lies within the tolerance of the other border, in [0, 1].

    tolerance: pixels, or mm where the data has a pixel spacing.
    """
    if not masks.referenced:
        return float("nan")
    return masks.surfaces.share_within(tolerance) if masks.predicted else 0.0
