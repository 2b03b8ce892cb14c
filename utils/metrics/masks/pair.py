"""The drawn and the true mask of one case, with everything that several metrics ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from utils.metrics.masks.components import InstanceOverlaps, instance_overlaps
from utils.metrics.masks.surfaces import SurfaceDistances, surface_distances


@dataclass(frozen=True)
class MaskPair:
    """What a per-case metric sees: two boolean masks of one shape, (height, width).

    spacing: height and width of a pixel in mm; without it distances are in pixels.
    instances: the reference's instances, (height, width) integers with background 0; without them the
    instances are the reference's connected components.

    Everything that several metrics need (the counts, the distances between surfaces, the overlaps
    of instances) is worked out once per case, on first use.
    """

    prediction: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, float] | None = None
    instances: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        prediction: np.ndarray,
        reference: np.ndarray,
        *,
        spacing: tuple[float, float] | None = None,
        instances: np.ndarray | None = None,
    ) -> MaskPair:
        """From boolean or 0/1 arrays.

        Raises ValueError unless both are (height, width) of one shape, the spacing is positive and
        the instances cover the reference, no more and no less.
        """
        if prediction.ndim != 2 or prediction.shape != reference.shape:
            raise ValueError(f"masks must share one (height, width): {prediction.shape} and {reference.shape}")
        if prediction.size == 0:
            raise ValueError("masks must have at least one pixel")
        if spacing is not None and not (min(spacing) > 0 and max(spacing) < float("inf")):
            raise ValueError(f"spacing must be two positive numbers of mm: {spacing}")
        prediction, reference = prediction.astype(bool, copy=False), reference.astype(bool, copy=False)
        if instances is not None and not np.array_equal(instances > 0, reference):
            raise ValueError("instances must cover the pixels of the reference and no others")
        return cls(prediction, reference, spacing, instances)

    @cached_property
    def true_positives(self) -> int:
        """Pixels in both masks."""
        return int(np.count_nonzero(self.prediction & self.reference))

    @cached_property
    def predicted(self) -> int:
        """Pixels drawn by the model."""
        return int(np.count_nonzero(self.prediction))

    @cached_property
    def referenced(self) -> int:
        """Pixels of the true lesion."""
        return int(np.count_nonzero(self.reference))

    @property
    def false_positives(self) -> int:
        """Pixels drawn outside the lesion."""
        return self.predicted - self.true_positives

    @property
    def false_negatives(self) -> int:
        """Pixels of the lesion that were not drawn."""
        return self.referenced - self.true_positives

    @property
    def true_negatives(self) -> int:
        """Pixels in neither mask."""
        return self.pixels - self.predicted - self.false_negatives

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.reference.size

    @property
    def diagonal(self) -> float:
        """The image's diagonal in pixels, or in mm where the spacing is known."""
        (height, width), (down, right) = self.reference.shape, self.spacing or (1.0, 1.0)
        return float(np.hypot(height * down, width * right))

    @cached_property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the smallest rectangle around all that is drawn in either mask."""
        left, top, width, height = cv2.boundingRect((self.prediction | self.reference).view(np.uint8))
        return slice(top, top + height), slice(left, left + width)

    @cached_property
    def surfaces(self) -> SurfaceDistances:
        """How far each mask's border lies from the other's; of two masks that are not empty."""
        return surface_distances(self._cropped(self.prediction), self._cropped(self.reference), self.spacing)

    @cached_property
    def overlaps(self) -> InstanceOverlaps:
        """Which drawn instances share pixels with which true ones."""
        truth = self._cropped(self.reference) if self.instances is None else self.instances[self.window]
        return instance_overlaps(self._cropped(self.prediction), truth, labelled=self.instances is not None)

    def _cropped(self, mask: np.ndarray) -> np.ndarray:
        """0/1 as OpenCV takes it, without the empty surroundings."""
        return np.ascontiguousarray(mask[self.window]).view(np.uint8)
