"""What a run keeps on disk of its training: ``best.pt`` to use, ``last.pt`` to go on from."""

from experiments.training.checkpoint.file import FORMAT, load, save
from experiments.training.checkpoint.keeper import BEST, LAST, PREVIOUS, Keeper
from experiments.training.checkpoint.pace import Pace

__all__ = ["BEST", "FORMAT", "LAST", "PREVIOUS", "Keeper", "Pace", "load", "save"]
