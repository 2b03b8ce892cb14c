"""What the scanner does with echoes: speckle, depth gain, log compression."""

from __future__ import annotations

import cv2
import numpy as np


def speckle(strength: np.ndarray, rng: np.random.Generator, axial: float = 0.7, lateral: float = 1.1) -> np.ndarray:
    """The envelope of the echo of many unresolved scatterers, float32, shaped as `strength`.

    strength: root mean square echo amplitude at each pixel, (height, width), linear.
    axial, lateral: standard deviation of the scanner's point spread function in pixels, along depth and across.

    Every pixel holds many scatterers with random phases, so that the echo is a complex Gaussian and its magnitude
    is Rayleigh distributed where `strength` is even: fully developed speckle (R. F. Wagner et al., Statistics of
    speckle in ultrasound B-scans, IEEE Trans. Sonics Ultrason. 30, 1983). With strength 1 its scale is 1 / sqrt(2).
    """
    echo = rng.standard_normal((*strength.shape, 2), dtype=np.float32) * strength[..., None]
    kernels = [cv2.getGaussianKernel(2 * round(3 * sigma) + 1, sigma, cv2.CV_32F) for sigma in (lateral, axial)]
    # Unit energy keeps the mean power of the echo, whatever the width of the point spread.
    across, down = (kernel / np.linalg.norm(kernel) for kernel in kernels)
    echo = cv2.sepFilter2D(echo, -1, across, down, borderType=cv2.BORDER_REFLECT_101)
    return cv2.magnitude(echo[..., 0], echo[..., 1]) * np.float32(np.sqrt(0.5))


def log_compress(envelope: np.ndarray, dynamic_range: float, gain: float) -> np.ndarray:
    """Grey values in 0..255, float32: `gain` dB above amplitude 1 is black plus `dynamic_range` dB, that is white."""
    decibels = 20.0 * np.log10(np.maximum(envelope, np.float32(1e-6)))
    return np.clip((decibels + gain + dynamic_range) * np.float32(255.0 / dynamic_range), 0, 255)


def amplitude(decibels: np.ndarray) -> np.ndarray:
    """The linear amplitude of a level in dB."""
    return np.exp(decibels * np.float32(np.log(10) / 20))
