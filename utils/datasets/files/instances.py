"""Which pixels of a mask file belong to the same lesion or nucleus."""

from __future__ import annotations

import cv2
import numpy as np


def numbered(stored: np.ndarray) -> np.ndarray:
    """int32, (height, width): instances 1, 2, ... and 0 for black, from a file's own numbers or colours.

    stored: (height, width) with a number for each instance, or (height, width, 3) with a colour for each. A file with
    one value alone does not tell instances apart: they are its connected components, as for the metrics.
    """
    codes = stored.astype(np.int64)
    if codes.ndim == 3:
        codes = codes @ np.array([1 << 32, 1 << 16, 1])
    values, numbers = np.unique(codes, return_inverse=True)
    numbers = numbers.reshape(codes.shape)
    if np.count_nonzero(values) <= 1:
        return cv2.connectedComponents((codes != 0).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)[1]
    return (numbers + (values[0] != 0)).astype(np.int32)
