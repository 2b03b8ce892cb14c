"""Breast ultrasound images that are made, not taken: one case from one seed.

Not a simulation of sound: tissue is a map of echo strength in dB, and what a scanner adds to it (attenuation,
shadows, speckle, log compression) is laid over it in the order in which it arises. Good enough to ask whether
the toolkit works and whether networks differ on it; no finding on phantoms is a finding about breasts.
"""

from utils.images.phantoms.generator import GENERATOR_VERSION, LABELS, near_duplicate, phantom

__all__ = ["GENERATOR_VERSION", "LABELS", "near_duplicate", "phantom"]
