"""What pays on this CPU, measured once: bf16, channels_last, runs side by side. It advises and decides nothing.

Each of them changes the last digits of a result: taken by themselves they would give the same sweep other numbers on
another machine. On CUDA bf16 and channels_last always pay, and nothing is measured.
"""

from experiments.calibration.advice import advice
from experiments.calibration.kept import calibration_here
from experiments.calibration.measurement import Calibration, measure

__all__ = ["Calibration", "advice", "calibration_here", "measure"]
