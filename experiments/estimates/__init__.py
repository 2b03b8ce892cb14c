"""What runs will take before they have: seconds, and memory of a GPU. Counted at first, then as it was measured."""

from experiments.estimates.durations import Durations, seconds_of, work_of
from experiments.estimates.peaks import Peaks, measured_peaks
from experiments.estimates.share import CONTEXT_BYTES, MOST_SHARING, share_of

__all__ = [
    "CONTEXT_BYTES",
    "MOST_SHARING",
    "Durations",
    "Peaks",
    "measured_peaks",
    "seconds_of",
    "share_of",
    "work_of",
]
