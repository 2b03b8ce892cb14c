"""The network of a finished run, opened from its record and its checkpoint, to be asked about cases."""

from experiments.prediction.opened import open_run
from experiments.prediction.trained import Prediction, TrainedNetwork

__all__ = ["Prediction", "TrainedNetwork", "open_run"]
