"""Finished runs put to use: their networks opened again, asked alone or as an ensemble, and exported."""

from experiments.prediction.ensemble import Ensemble, Inference, Member, Prediction
from experiments.prediction.opened import open_network, open_run
from experiments.prediction.selection import Selection, open_ensemble, select_runs
from experiments.prediction.trained import CasePrediction, TrainedNetwork

__all__ = [
    "CasePrediction",
    "Ensemble",
    "Inference",
    "Member",
    "Prediction",
    "Selection",
    "TrainedNetwork",
    "open_ensemble",
    "open_network",
    "open_run",
    "select_runs",
]
